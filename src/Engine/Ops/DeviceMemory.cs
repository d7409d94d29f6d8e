namespace LocalLlm.Ops;

/// <summary>The memory that a device plans with, in bytes.</summary>
/// <param name="AvailableBytes">For a CPU the free memory, for a GPU all of its memory.</param>
/// <param name="UsedBytes">The part of <paramref name="AvailableBytes"/> that is in use already.</param>
/// <param name="DefaultUtilization">The share that the engine takes unless <c>gpu_memory_utilization</c> says otherwise.</param>
internal readonly record struct DeviceMemory(long AvailableBytes, long UsedBytes, double DefaultUtilization);
