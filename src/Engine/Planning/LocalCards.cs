using LocalLlm.Ops;
using LocalLlm.Ops.Cuda;

namespace LocalLlm.Planning;

/// <summary>This machine's devices as cards to plan with.</summary>
internal static class LocalCards
{
    /// <summary>The device of every rank, and how many there are of it; null: as many as are wanted (ranks of a CPU are threads).</summary>
    /// <param name="device">As an engine's options name it.</param>
    /// <param name="ranks">Ranks that share the memory of a CPU, or of a device that is named by its number.</param>
    /// <exception cref="EngineException">Kind Environment: there is no such device.</exception>
    public static (GpuCard Card, int? Count) Find(string device, int ranks)
    {
        DeviceRegistry.Require(device);
        var isCuda = device == "auto" ? CudaDevice.IsUsable() : device.StartsWith("cuda", StringComparison.Ordinal);
        // Of unlike cards the smallest decides.
        if (isCuda && CudaInventory.Devices() is { Count: > 0 } found)
        {
            var card = CardOf(found.MinBy(one => one.MemoryBytes));
            // Ranks share a device that is named by its number.
            return device.Contains(':', StringComparison.Ordinal) ? (card with { MemoryBytes = card.MemoryBytes / Math.Max(1, ranks) }, null) : (card, found.Count);
        }

        return (new("cpu", HostMemory.AvailableBytes() / Math.Max(1, ranks)) { IsCpu = true }, null);
    }

    private static GpuCard CardOf((string Name, long MemoryBytes, int ComputeCapability) found)
    {
        double? speed = null;
        try
        {
            speed = KnownCards.Find(found.Name).BytesPerSecond;
        }
        catch (EngineException)
        {
            // Its times are not predicted.
        }

        return new(found.Name, found.MemoryBytes) { ComputeCapability = found.ComputeCapability, BytesPerSecond = speed };
    }
}
