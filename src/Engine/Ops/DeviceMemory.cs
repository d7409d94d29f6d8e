namespace LocalLlm.Ops;

/// <summary>The memory that a device plans with, in bytes.</summary>
/// <param name="AvailableBytes">Of a CPU, what is free; of a GPU, all that it has.</param>
/// <param name="UsedBytes">The part of it that is taken already.</param>
/// <param name="DefaultUtilization">The share that the engine takes unless <c>gpu_memory_utilization</c> says otherwise.</param>
internal readonly record struct DeviceMemory(long AvailableBytes, long UsedBytes, double DefaultUtilization);
