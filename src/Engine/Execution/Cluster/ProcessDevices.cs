using LocalLlm.Ops;
using LocalLlm.Parallel;

namespace LocalLlm.Execution.Cluster;

/// <summary>Which devices a process for each rank can have.</summary>
internal static class ProcessDevices
{
    private const string Cpu = "cpu";
    private const string Auto = "auto";

    /// <summary>The device of every rank, by name: GPUs in their order, and a CPU for all.</summary>
    /// <param name="options">Checked options.</param>
    public static IReadOnlyList<string> Of(EngineOptions options) => NodeRanks.DevicesOf(options, WorldSize(options));

    /// <summary>Whether the ranks compute on GPUs, which NCCL connects; else on CPUs.</summary>
    /// <param name="devices">Of the ranks.</param>
    public static bool AreGpus(IReadOnlyList<string> devices) => DeviceRegistry.IsGpu(devices[0]);

    /// <summary>
    /// What is wrong with processes on the devices that the options name, to follow the option's name; null: nothing, or there are no such
    /// processes, or what <c>auto</c> means is not known yet.
    /// </summary>
    /// <param name="options">Any options.</param>
    public static string? FaultOf(EngineOptions options)
    {
        // Other faults of devices are named as such.
        if (!options.UsesProcesses || DeviceOptions.FaultsOf(options).Any())
            return null;
        var isKnown = options.Devices is not null || (options.Device != Auto && DeviceRegistry.IsDevice(options.Device));
        return isKnown ? FaultOf(options, Of(options)) : null;
    }

    /// <summary>As <see cref="FaultOf(EngineOptions)"/>, once the devices are known.</summary>
    /// <param name="options">With a process for each rank.</param>
    /// <param name="devices">Of the ranks, by name.</param>
    public static string? FaultOf(EngineOptions options, IReadOnlyList<string> devices)
    {
        var backend = options.DistributedExecutorBackend;
        if (devices.All(device => DeviceRegistry.KindOf(device) == Cpu))
            return null;
        if (devices.FirstOrDefault(device => !DeviceRegistry.IsGpu(device)) is { } other)
        {
            return $"is {backend}, a process for each rank, which this build has on CPUs and NVIDIA GPUs only, but the device is {other}; "
                + "use threads";
        }

        if (MpiLaunch.Find() is not null)
        {
            return $"is {backend} under mpirun, which this build has on CPUs only, but the device is {devices[0]}; set device to cpu, or "
                + "leave mpirun out: threads or processes of this machine then use its GPUs";
        }

        return devices.CountBy(DeviceRegistry.Canonical).FirstOrDefault(device => device.Value > 1) is { Value: > 0 } shared
            ? $"is {backend}, so that each rank needs a GPU of its own, but {shared.Key} would have {shared.Value} of them; "
                + "name as many GPUs as ranks, or use threads"
            : null;
    }

    private static int WorldSize(EngineOptions options) =>
        (int)Math.Clamp((long)options.TensorParallel * options.PipelineParallel, 1, ParallelRules.MaxRanks);
}
