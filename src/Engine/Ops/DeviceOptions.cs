namespace LocalLlm.Ops;

/// <summary>Checks the options <c>device</c> and <c>devices</c> together.</summary>
internal static class DeviceOptions
{
    private const string Name = "devices";

    /// <summary>
    /// The faults of <see cref="EngineOptions.Devices"/> that show without looking at this machine: the option's name, and what was found
    /// and is allowed. The plan of the ranks checks the number of devices.
    /// </summary>
    public static IEnumerable<(string Name, string Message)> FaultsOf(EngineOptions options)
    {
        if (options.Devices is not { } devices)
            yield break;
        for (var i = 0; i < devices.Count; i++)
        {
            if (string.IsNullOrWhiteSpace(devices[i]))
            {
                yield return (Name, $"has no name at place {i + 1} of {devices.Count}; allowed: {DeviceRegistry.AllowedNames}");
                yield break;
            }
        }

        if (devices.FirstOrDefault(device => !DeviceRegistry.IsDevice(device)) is { } unknown)
        {
            yield return (Name, $"names '{unknown}'; allowed: {DeviceRegistry.AllowedNames}");
            yield break;
        }

        if (devices.Select(DeviceRegistry.KindOf).Distinct().Count() > 1)
            yield return (Name, $"names devices of several kinds ({string.Join(", ", devices)}); name devices of one kind, one for each rank");
        if (options.Device is { } one && DeviceRegistry.IsDevice(one) && devices.Any(device => DeviceRegistry.Canonical(device) != DeviceRegistry.Canonical(one)))
            yield return ("device", $"is '{one}', but devices names {string.Join(", ", devices)}; set one of them: device for all ranks, or devices with one for each");
    }

    /// <summary>Refuses devices that this machine does not have; needs no libtorch.</summary>
    /// <exception cref="EngineException">Kind Environment.</exception>
    public static void Require(EngineOptions options)
    {
        foreach (var device in options.Devices?.Distinct() ?? [options.Device])
            DeviceRegistry.Require(device);
    }
}
