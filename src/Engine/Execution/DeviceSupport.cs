using LocalLlm.Models;
using LocalLlm.Ops;

namespace LocalLlm.Execution;

/// <summary>
/// Refuses on GPUs what this build does on CPUs only, and on CPUs what it cannot do there: by name and before weights are read.
/// </summary>
internal static class DeviceSupport
{
    /// <summary>Refuses to pin threads that do not compute.</summary>
    /// <exception cref="EngineException">Kind InvalidOptions.</exception>
    public static void RequireThreads(EngineOptions options, IDeviceOps ops)
    {
        if (options.PinThreads && ops.Device.type != TorchSharp.DeviceType.CPU)
            throw new EngineException(EngineErrorKind.InvalidOptions, $"pin_threads is set, but no threads compute on {ops.Device}; leave it out.", "pin_threads");
    }

    /// <summary>Refuses an architecture of GPUs where no GPU computes.</summary>
    /// <exception cref="EngineException">Kind InvalidOptions.</exception>
    public static void RequireArchitecture(EngineOptions options, IDeviceOps ops)
    {
        if (options.CudaArch is { } architecture && ops.Device.type != TorchSharp.DeviceType.CUDA)
            throw new EngineException(EngineErrorKind.InvalidOptions, $"cuda_arch is {architecture}, but device is {ops.Device}, which is no GPU; leave it out, or set device to cuda.", "cuda_arch");
    }

    /// <summary>Refuses a bound of a GPU's memory where no GPU computes.</summary>
    /// <exception cref="EngineException">Kind InvalidOptions.</exception>
    public static void RequireMemory(EngineOptions options, IDeviceOps ops)
    {
        if (options.GpuMemoryBytes is not null && ops.Device.type != TorchSharp.DeviceType.CUDA)
            throw new EngineException(EngineErrorKind.InvalidOptions, $"gpu_memory is set, but device is {ops.Device}, which is no GPU; leave it out, or set device to cuda.", "gpu_memory");
    }

    /// <summary>Refuses a type that was named and that the device does not compute in.</summary>
    /// <exception cref="EngineException">Kind InvalidOptions.</exception>
    public static void RequireType(EngineOptions options, IDeviceOps ops)
    {
        if (ops.Features.LacksBFloat16 && ModelDtypes.Find(options.Dtype) == ModelDtype.BFloat16)
        {
            throw new EngineException(
                EngineErrorKind.InvalidOptions,
                $"dtype is {options.Dtype}, which {ops.Device} does not compute in (its compute capability, or cuda_arch, is below 8.0); allowed for it: auto, float16, float32.",
                "dtype");
        }
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
