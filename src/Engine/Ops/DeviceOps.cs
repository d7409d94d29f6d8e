using System.Globalization;
using LocalLlm.Ops.Cpu;
using LocalLlm.Ops.Cuda;

namespace LocalLlm.Ops;

/// <summary>From the name of a device to its operations.</summary>
internal static class DeviceOps
{
    /// <summary>The operations of a device; the caller disposes them if they can be disposed.</summary>
    /// <param name="device"><c>auto</c> (the first GPU where one can be used, else the CPU), <c>cpu</c>, <c>cuda</c> or <c>cuda:N</c>.</param>
    /// <exception cref="EngineException">Kind InvalidOptions: no such device. Kind Environment: what the device lacks.</exception>
    public static IDeviceOps Create(string device) => device switch
    {
        "cpu" => new CpuOps(),
        "auto" => CudaDevice.IsUsable() ? new CudaOps(0) : new CpuOps(),
        _ => CudaOrdinal(device) is { } ordinal
            ? new CudaOps(ordinal)
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
