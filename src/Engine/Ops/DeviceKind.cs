namespace LocalLlm.Ops;

/// <summary>A kind of device that the engine can run on, as <see cref="DeviceRegistry"/> lists it.</summary>
/// <param name="Name">What the option <c>device</c> calls it.</param>
/// <param name="Create">Opens the device of an ordinal; the caller disposes the result if it can be disposed.</param>
internal sealed record DeviceKind(string Name, Func<int, DeviceSettings, IDeviceOps> Create)
{
    /// <summary>Whether there may be several, named by an ordinal: <c>name:N</c>. Without an ordinal the first is meant.</summary>
    public bool HasOrdinals { get; init; }

    /// <summary>Whether <c>auto</c> may take it: it is there, and everything that it needs. Null: <c>auto</c> never does.</summary>
    public Func<bool>? IsUsable { get; init; }

    /// <summary>
    /// What a process plans with that computes nothing on the device of an ordinal, and does not open it; null: it opens it.
    /// </summary>
    public Func<int, PlannedDevice>? Plan { get; init; }

    /// <summary>
    /// What tells the device of an ordinal from all others, whichever process asks; null, of the function, too: nothing does.
    /// </summary>
    public Func<int, string?>? Identify { get; init; }

    /// <summary>Refuses an unknown ordinal, before libtorch is loaded.</summary>
    /// <exception cref="EngineException">Kind Environment (of the function): what is missing or too old.</exception>
    public Action<int>? Require { get; init; }
}
