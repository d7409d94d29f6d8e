using LocalLlm.Models;
using LocalLlm.Ops;

namespace LocalLlm.Execution;

/// <summary>Refuses GPUs for what this build runs on CPUs only, by name and before weights are read.</summary>
internal static class DeviceSupport
{
    /// <summary>Refuses a GPU for a family of models, or for weights, that have run on CPUs only.</summary>
    /// <param name="isCpu">Whether the device is a CPU.</param>
    /// <param name="device">Its name.</param>
    /// <param name="config">The model.</param>
    /// <exception cref="EngineException">Kind InvalidOptions.</exception>
    public static void Check(bool isCpu, string device, ModelConfig config)
    {
        if (!isCpu && ModelRegistry.CpuOnly(config) is { } what)
            throw new EngineException(EngineErrorKind.InvalidOptions, $"device is {device}, but this build runs {what} on CPUs only; set it to cpu.", "device");
    }

    /// <summary>Refuses to pin threads that do not compute.</summary>
    /// <exception cref="EngineException">Kind InvalidOptions.</exception>
    public static void RequireThreads(EngineOptions options, IDeviceOps ops)
    {
        if (options.PinThreads && ops.Device.type != TorchSharp.DeviceType.CPU)
            throw new EngineException(EngineErrorKind.InvalidOptions, $"pin_threads is set, but no threads compute on {ops.Device}; leave it out.", "pin_threads");
    }

    /// <summary>Refuses a device whose results of a row depend on the other rows, where they must not.</summary>
    /// <exception cref="EngineException">Kind InvalidOptions.</exception>
    public static void RequireInvariance(EngineOptions options, IDeviceOps ops)
    {
        if (options.BatchInvariant && !ops.Features.IsBatchInvariant)
        {
            throw new EngineException(
                EngineErrorKind.InvalidOptions,
                $"batch_invariant is set, but this build keeps the order of a row's additions on CPUs only, and device is {ops.Device}; leave it out, or set device to cpu.",
                "batch_invariant");
        }
    }
}
