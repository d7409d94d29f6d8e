using LocalLlm.Models;
using LocalLlm.Ops;

namespace LocalLlm.Execution;

/// <summary>
/// Refuses options that this build supports only on the other kind of device, CPU or GPU. Names the option, before weights are read.
/// </summary>
internal static class DeviceSupport
{
    /// <summary>Refuses to pin threads if the computation is not on a CPU.</summary>
    /// <exception cref="EngineException">Kind InvalidOptions.</exception>
    public static void RequireThreads(EngineOptions options, IDeviceOps ops)
    {
        if (options.PinThreads && ops.Device.type != TorchSharp.DeviceType.CPU)
            throw new EngineException(EngineErrorKind.InvalidOptions, $"pin_threads is set, but no threads compute on {ops.Device}; leave it out.", "pin_threads");
    }

    /// <summary>Refuses a GPU architecture if the computation is not on a GPU.</summary>
    /// <exception cref="EngineException">Kind InvalidOptions.</exception>
    public static void RequireArchitecture(EngineOptions options, IDeviceOps ops)
    {
        if (options.CudaArch is { } architecture && ops.Device.type != TorchSharp.DeviceType.CUDA)
            throw new EngineException(EngineErrorKind.InvalidOptions, $"cuda_arch is {architecture}, but device is {ops.Device}, which is not a GPU; leave it out, or set device to cuda.", "cuda_arch");
    }

    /// <summary>Refuses a limit of GPU memory if the computation is not on a GPU.</summary>
    /// <exception cref="EngineException">Kind InvalidOptions.</exception>
    public static void RequireMemory(EngineOptions options, IDeviceOps ops)
    {
        if (options.GpuMemoryBytes is not null && ops.Device.type != TorchSharp.DeviceType.CUDA)
            throw new EngineException(EngineErrorKind.InvalidOptions, $"gpu_memory is set, but device is {ops.Device}, which is not a GPU; leave it out, or set device to cuda.", "gpu_memory");
    }

    /// <summary>Refuses a requested data type that the device does not compute in.</summary>
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

    /// <summary>If batch invariance is requested, refuses a device whose results for a row depend on other rows.</summary>
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
