namespace LocalLlm.Ops;

/// <summary>A kind of device that the engine can run on, as <see cref="DeviceRegistry"/> lists it.</summary>
/// <param name="Name">Its name in the option <c>device</c>.</param>
/// <param name="Create">Opens the device with an ordinal. The caller disposes the result if it is disposable.</param>
internal sealed record DeviceKind(string Name, Func<int, DeviceSettings, IDeviceOps> Create)
{
    /// <summary>Whether a machine may have several, named <c>name:N</c>. Without an ordinal, the name means the first.</summary>
    public bool HasOrdinals { get; init; }

    /// <summary>Whether this machine has the device and all it needs, so <c>auto</c> may choose it. Null: it never does.</summary>
    public Func<bool>? IsUsable { get; init; }

    /// <summary>
    /// What a process plans with that computes nothing on the device with an ordinal, without opening it; null: it opens the device.
    /// </summary>
    public Func<int, DeviceSettings, PlannedDevice>? Plan { get; init; }

    /// <summary>
    /// A unique id of the device with an ordinal, the same in every process. Null, as a result too: there is none.
    /// </summary>
    public Func<int, string?>? Identify { get; init; }

    /// <summary>Refuses an unknown ordinal, before libtorch is loaded.</summary>
    /// <exception cref="EngineException">The function throws it, with kind Environment: what is missing or too old.</exception>
    public Action<int>? Require { get; init; }
}
