namespace LocalLlm.Ops;

/// <summary>How a device is opened.</summary>
/// <param name="Priority">Beside other engines on it.</param>
/// <param name="BatchInvariant">Whether it should keep <see cref="DeviceFeatures.IsBatchInvariant"/>, if it can.</param>
internal readonly record struct DeviceSettings(DevicePriority Priority, bool BatchInvariant)
{
    /// <summary>CPUs that the threads of a CPU's kernels stay on, one for each thread; null: wherever the system puts them.</summary>
    public IReadOnlyList<int>? Cpus { get; init; }

    /// <summary>The architecture that a GPU's kernels are compiled for, such as 75; null: as the device says.</summary>
    public int? CudaArchitecture { get; init; }

    /// <summary>What a GPU's memory counts as, in bytes; null: all of it.</summary>
    public long? GpuMemoryBytes { get; init; }

    /// <summary>Stages of the pipeline that the device is part of; 0: one. One more step than that may be queued on it.</summary>
    public int PipelineStages { get; init; }

    /// <summary>Max number of steps that are queued on the device, the one that it computes included.</summary>
    public int StepsInFlight => Math.Max(1, PipelineStages) + 1;
}
