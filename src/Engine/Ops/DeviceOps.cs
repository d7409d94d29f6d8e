using LocalLlm.Ops.Cpu;

namespace LocalLlm.Ops;

/// <summary>From the name of a device to its operations.</summary>
internal static class DeviceOps
{
    /// <summary>The operations of a device; the caller disposes them if they can be disposed.</summary>
    /// <param name="device"><c>auto</c> or <c>cpu</c>.</param>
    /// <exception cref="EngineException">Kind InvalidOptions: this build has no such device.</exception>
    public static IDeviceOps Create(string device) => device switch
    {
        "auto" or "cpu" => new CpuOps(),
        _ => throw new EngineException(EngineErrorKind.InvalidOptions, $"device is '{device}'; this build runs on: auto, cpu", "device"),
    };
}
