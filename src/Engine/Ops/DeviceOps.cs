using System.Globalization;
using LocalLlm.Ops.Cpu;
using LocalLlm.Ops.Cuda;

namespace LocalLlm.Ops;

/// <summary>Whose work goes first where several engines of one process share a device that can tell (a GPU, between blocks of kernels).</summary>
internal enum DevicePriority
{
    /// <summary>Someone waits for every step: generation.</summary>
    High,

    /// <summary>Batches: embeddings.</summary>
    Low,
}

/// <summary>From the name of a device to its operations.</summary>
internal static class DeviceOps
{
    /// <summary>The operations of a device; the caller disposes them if they can be disposed.</summary>
    /// <param name="device"><c>auto</c> (the first GPU where one can be used, else the CPU), <c>cpu</c>, <c>cuda</c> or <c>cuda:N</c>.</param>
    /// <param name="priority">Beside other engines on it.</param>
    /// <exception cref="EngineException">Kind InvalidOptions: no such device. Kind Environment: what the device lacks.</exception>
    public static IDeviceOps Create(string device, DevicePriority priority = DevicePriority.High) => device switch
    {
        "cpu" => new CpuOps(),
        "auto" => CudaDevice.IsUsable() ? new CudaOps(0, priority) : new CpuOps(),
        _ => CudaOrdinal(device) is { } ordinal
            ? new CudaOps(ordinal, priority)
            : throw new EngineException(EngineErrorKind.InvalidOptions, $"device is '{device}'; allowed: auto, cpu, cuda, cuda:N", "device"),
    };

    /// <summary>The N of <c>cuda:N</c>, 0 for <c>cuda</c>, null for anything else.</summary>
    public static int? CudaOrdinal(string device)
    {
        const string prefix = "cuda:";
        if (device == "cuda")
            return 0;
        return device.StartsWith(prefix, StringComparison.Ordinal)
            && int.TryParse(device.AsSpan(prefix.Length), NumberStyles.None, CultureInfo.InvariantCulture, out var ordinal)
            ? ordinal
            : null;
    }
}
