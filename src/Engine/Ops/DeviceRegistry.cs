using System.Collections.Immutable;
using System.Globalization;
using LocalLlm.Ops.Cpu;
using LocalLlm.Ops.Cuda;

namespace LocalLlm.Ops;

/// <summary>The kinds of devices; opens devices by name. Thread-safe.</summary>
internal static class DeviceRegistry
{
    private const string Auto = "auto";
    private const string Cuda = "cuda";

    // auto chooses the first usable one.
    private static ImmutableList<DeviceKind> s_kinds =
    [
        new(Cuda, (ordinal, settings) => new CudaOps(
            ordinal, settings.Priority, Environment.GetEnvironmentVariable(WarpgroupProducts.WeightsOnlyVariable) == "1", settings.StepsInFlight, settings.CudaArchitecture,
            settings.GpuMemoryBytes))
        {
            HasOrdinals = true, IsUsable = CudaDevice.IsUsable, Require = ordinal => CudaDevice.RequireDriver(ordinal),
            Plan = CudaInventory.Plan, Identify = CudaInventory.UuidOf,
        },
        new("cpu", (_, settings) => new CpuOps(settings.BatchInvariant, settings.Cpus)) { IsUsable = () => true },
    ];

    /// <summary>The names that the option <c>device</c> may have, for messages.</summary>
    public static string Allowed => $"{Auto}, {AllowedNames}";

    /// <summary>The names of single devices, for messages.</summary>
    public static string AllowedNames => string.Join(", ",
        s_kinds.Reverse().SelectMany(kind => kind.HasOrdinals ? [kind.Name, $"{kind.Name}:N"] : (string[])[kind.Name]));

    /// <summary>Adds a kind of device.</summary>
    /// <returns>Removes the kind again when disposed.</returns>
    /// <exception cref="ArgumentException">A kind has that name already.</exception>
    public static IDisposable Register(DeviceKind kind)
    {
        ImmutableInterlocked.Update(ref s_kinds, kinds => kinds.Exists(known => known.Name == kind.Name)
            ? throw new ArgumentException($"There is a device named {kind.Name}.", nameof(kind))
            : kinds.Add(kind));
        return new Registration(kind);
    }

    /// <summary>Whether this is the name of a device, or <c>auto</c>.</summary>
    public static bool IsName(string device) => device == Auto || Find(device) is not null;

    /// <summary>Whether this is the name of a device; <c>auto</c> is not.</summary>
    public static bool IsDevice(string device) => Find(device) is not null;

    /// <summary>The kind of a named device; for an unknown name, the name itself.</summary>
    public static string KindOf(string device) => Find(device) is var (kind, _) ? kind.Name : device;

    /// <summary>Whether this is the name of a GPU.</summary>
    public static bool IsGpu(string device) => KindOf(device) == Cuda;

    /// <summary>
    /// An id that no other device has, on any machine, the same in every process; null: the device may be shared, or has no known id. Opens
    /// nothing.
    /// </summary>
    public static string? IdentityOf(string device) => Find(device) is var (kind, ordinal) ? kind.Identify?.Invoke(ordinal) : null;

    /// <summary>The canonical name of a device, with an ordinal if its kind has ordinals. Unknown names are returned unchanged.</summary>
    public static string Canonical(string device) =>
        Find(device) is var (kind, ordinal) && kind.HasOrdinals ? string.Create(CultureInfo.InvariantCulture, $"{kind.Name}:{ordinal}") : device;

    /// <summary>The name of one of several devices of a kind.</summary>
    /// <param name="device">A kind, or <c>auto</c>: the first usable one. A name with an ordinal is returned unchanged.</param>
    /// <param name="index">Index of the device, from 0.</param>
    public static string NameOf(string device, int index)
    {
        var kind = device == Auto ? s_kinds.First(one => one.IsUsable?.Invoke() == true) : s_kinds.Find(one => one.Name == device);
        return kind is { HasOrdinals: true } ? string.Create(CultureInfo.InvariantCulture, $"{kind.Name}:{index}") : kind?.Name ?? device;
    }

    /// <summary>Refuses a device that this machine does not have; needs no libtorch.</summary>
    /// <exception cref="EngineException">Kind Environment.</exception>
    public static void Require(string device)
    {
        if (device != Auto && Find(device) is var (kind, ordinal))
            kind.Require?.Invoke(ordinal);
    }

    /// <summary>Opens a device. The caller disposes the result if it is disposable.</summary>
    /// <param name="device">
    /// <c>auto</c> (the first GPU if one is usable, else the CPU), <c>cpu</c>, <c>cuda</c> or <c>cuda:N</c>.
    /// </param>
    /// <param name="settings">How it is opened.</param>
    /// <exception cref="EngineException">Kind InvalidOptions: no such device. Kind Environment: what the device lacks.</exception>
    public static IDeviceOps Create(string device, DeviceSettings settings = default)
    {
        if (device == Auto)
            return s_kinds.First(kind => kind.IsUsable?.Invoke() == true).Create(0, settings);
        var (kind, ordinal) = Find(device) ?? throw new EngineException(EngineErrorKind.InvalidOptions,
            $"device is '{device}'; allowed: {Allowed}", "device");
        return kind.Create(ordinal, settings);
    }

    /// <summary>What a process plans with that computes nothing on a device; null: it opens the device (<see cref="Create"/>).</summary>
    /// <param name="device">The device's name, not <c>auto</c>.</param>
    /// <param name="settings">How the process that computes opens it.</param>
    /// <exception cref="EngineException">Kind Environment: the device does not exist.</exception>
    public static PlannedDevice? TryPlan(string device, DeviceSettings settings)
    {
        if (Find(device) is not var (kind, ordinal) || kind.Plan is not { } plan)
            return null;
        kind.Require?.Invoke(ordinal);
        return plan(ordinal, settings);
    }

    private static (DeviceKind Kind, int Ordinal)? Find(string device)
    {
        foreach (var kind in s_kinds)
        {
            if (device == kind.Name)
                return (kind, 0);
            if (kind.HasOrdinals
                && device.StartsWith(kind.Name + ":", StringComparison.Ordinal)
                && int.TryParse(device.AsSpan(kind.Name.Length + 1), NumberStyles.None, CultureInfo.InvariantCulture, out var ordinal))
            {
                return (kind, ordinal);
            }
        }

        return null;
    }

    private sealed class Registration(DeviceKind kind) : IDisposable
    {
        public void Dispose() => ImmutableInterlocked.Update(ref s_kinds, kinds => kinds.Remove(kind));
    }
}
