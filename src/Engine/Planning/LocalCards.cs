using System.Globalization;
using LocalLlm.Ops;
using LocalLlm.Ops.Cuda;
using LocalLlm.Parallel;

namespace LocalLlm.Planning;

/// <summary>Describes this machine's devices as cards to plan with.</summary>
internal static class LocalCards
{
    /// <summary>
    /// The device of every rank (or of the ranks of each stage, where stages differ), and the number of devices on one host. The number is
    /// null if it sets no limit: ranks can share a CPU, or a GPU that the options name by its number.
    /// </summary>
    /// <param name="options">Checked options; sizes may be impossible.</param>
    /// <exception cref="EngineException">Kind Environment: there is no such device.</exception>
    public static (IReadOnlyList<GpuCard> Cards, int? Count) Find(EngineOptions options)
    {
        DeviceOptions.Require(options);
        var name = options.Devices is [var first, ..] ? first : options.Device;
        var isCuda = name == "auto" ? CudaDevice.IsUsable() : DeviceRegistry.IsGpu(name);
        return Spread(options, isCuda ? [.. CudaInventory.Devices().Select(found => CardOf(found, options))] : [], HostMemory.AvailableBytes());
    }

    /// <summary>As <see cref="Find"/>, for a described machine. Pure.</summary>
    /// <param name="options">Checked options; sizes may be impossible.</param>
    /// <param name="gpus">The machine's GPUs in order; empty: ranks run on the CPU.</param>
    /// <param name="hostBytes">Free host memory.</param>
    public static (IReadOnlyList<GpuCard> Cards, int? Count) Spread(EngineOptions options, IReadOnlyList<GpuCard> gpus, long hostBytes)
    {
        var tensor = Math.Clamp(options.TensorParallel, 1, ParallelRules.MaxRanks);
        var stages = Math.Clamp(options.PipelineParallel, 1, ParallelRules.MaxRanks);
        tensor = (int)Math.Min(ParallelRules.MaxRanks, (long)tensor * Math.Clamp(options.DataParallel, 1, ParallelRules.MaxRanks)); // ranks of a stage
        var ranks = Math.Clamp(tensor * stages / Math.Max(1, options.Nodes), 1, ParallelRules.MaxRanks);
        if (gpus.Count == 0)
            return ([new("cpu", hostBytes / ranks) { IsCpu = true }], null);
        var ordinals = Enumerable.Range(0, ranks).Select(rank => OrdinalOf(options, rank)).ToArray();
        var sharing = ordinals.CountBy(ordinal => ordinal).ToDictionary();
        var smallest = gpus.MinBy(card => card.MemoryBytes)!;
        var shares = ordinals.Select(ordinal => ShareOf(ordinal < gpus.Count ? gpus[ordinal] : smallest, sharing[ordinal])).ToArray();
        // If the cards of a stage differ, the smallest one decides.
        GpuCard[] cards = [.. Enumerable.Range(0, stages).Select(stage =>
            Enumerable.Range(stage * tensor, Math.Min(tensor, ranks)).Select(rank => shares[rank % ranks])
                .MinBy(card => card.MemoryBytes)!)];
        var isNamed = options.Devices is { Count: > 0 } || options.Device.Contains(':', StringComparison.Ordinal);
        return (cards.Distinct().Count() == 1 ? cards[..1] : cards, isNamed ? null : gpus.Count);
    }

    private static GpuCard ShareOf(GpuCard card, int ranks) => card with { MemoryBytes = card.MemoryBytes / ranks };

    // Assigns devices to ranks as the engine does: by the list, all to the device with a number, else the first devices.
    private static int OrdinalOf(EngineOptions options, int rank)
    {
        var name = options.Devices is { Count: > 0 } devices ? DeviceRegistry.Canonical(devices[rank % devices.Count]) : options.Device;
        return name.Split(':') is [_, var ordinal] && int.TryParse(ordinal, NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : rank;
    }

    private static GpuCard CardOf((string Name, long MemoryBytes, int ComputeCapability) found, EngineOptions options) =>
        new(found.Name, MemoryCap.Of(options.GpuMemoryBytes, found.MemoryBytes, found.Name))
    {
        ComputeCapability = CudaArchitecture.Of(CudaArchitecture.Asked(options.CudaArch), found.ComputeCapability, found.Name), BytesPerSecond = KnownCards.TryFind(found.Name)?.BytesPerSecond,
    };
}
