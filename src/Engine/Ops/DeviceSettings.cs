namespace LocalLlm.Ops;

/// <summary>How a device is opened.</summary>
/// <param name="Priority">Priority of its work over that of other engines on the device.</param>
/// <param name="BatchInvariant">Whether the device should be <see cref="DeviceFeatures.IsBatchInvariant"/>, if it can.</param>
internal readonly record struct DeviceSettings(DevicePriority Priority, bool BatchInvariant)
{
    /// <summary>CPUs that the threads of a CPU's kernels are pinned to, one for each thread; null: the system places the threads.</summary>
    public IReadOnlyList<int>? Cpus { get; init; }

    /// <summary>The architecture that a GPU's kernels are compiled for, such as 75; null: the device's default.</summary>
    public int? CudaArchitecture { get; init; }

    /// <summary>How much of a GPU's memory the engine counts, in bytes; null: all of it.</summary>
    public long? GpuMemoryBytes { get; init; }

    /// <summary>Number of pipeline stages of the model; 0 means 1. One step more than that may be queued on the device.</summary>
    public int PipelineStages { get; init; }

    /// <summary>Max number of steps queued on the device, including the one that it computes.</summary>
    public int StepsInFlight => Math.Max(1, PipelineStages) + 1;
}
