using LocalLlm.Parallel;

namespace LocalLlm.Planning;

/// <summary>
/// Offers plans that fit in place of one that does not. All have one data-parallel group: more groups serve throughput, not memory.
/// </summary>
internal static class PlanOffers
{
    /// <summary>Assumed devices per host if nothing else is known: the usual number in servers.</summary>
    public const int UsualDevices = 8;

    // Ends the search; no host has more devices.
    private const int MaxDevices = 64;

    /// <summary>Offers the nearest plan on these devices, the requested number on more hosts, and the fewest that fit.</summary>
    /// <param name="asked">The request, possible or not.</param>
    /// <param name="capacity">Estimates a plan's memory.</param>
    /// <param name="perNode">Devices per host; null: as many as the request has.</param>
    /// <param name="line">Writes command lines.</param>
    public static IReadOnlyList<PlanChoice> Of(ParallelRequest asked, CapacityPlanner capacity, int? perNode, PlanLine line)
    {
        var search = new PlanSearch(capacity);
        var nodes = Math.Clamp(asked.Nodes, 1, MaxDevices);
        var each = Math.Clamp(perNode ?? DevicesAsked(asked), 1, MaxDevices);
        var nearest = search.Nearest(asked, each, nodes);
        // Further ranks of a CPU add no memory.
        if (capacity.CardOf(0).IsCpu)
            return nearest is null ? [] : [ChoiceOf(nearest, capacity, line)];
        var world = asked.WorldSize;
        var wider = world > (long)each * nodes && world <= ParallelRules.MaxRanks
            ? search.Nearest(asked, each, (int)Math.Min(MaxDevices, (world + each - 1) / each)) : null;
        if (wider?.Plan.WorldSize != world)
            wider = null;
        var smallest = search.Smallest(Math.Max(each, UsualDevices));
        return [.. ((CapacityEstimate?[])[nearest, wider, smallest]).OfType<CapacityEstimate>()
            .DistinctBy(estimate => (estimate.Plan.TensorParallel, estimate.Plan.PipelineParallel, estimate.Plan.Nodes))
            .Select(estimate => ChoiceOf(estimate, capacity, line))];
    }

    /// <summary>The plan that fits with the fewest devices.</summary>
    public static PlanChoice? Smallest(CapacityPlanner capacity, int perNode, PlanLine line) =>
        new PlanSearch(capacity).Smallest(Math.Clamp(perNode, UsualDevices, MaxDevices)) is { } estimate ? ChoiceOf(estimate, capacity, line) : null;

    private static int DevicesAsked(ParallelRequest asked) =>
        (int)Math.Min(MaxDevices, ((long)Math.Max(1, asked.TensorParallel) * Math.Max(1, asked.PipelineParallel) * Math.Max(1, asked.DataParallel) + Math.Max(1, asked.Nodes) - 1) / Math.Max(1, asked.Nodes));

    private static PlanChoice ChoiceOf(CapacityEstimate estimate, CapacityPlanner capacity, PlanLine line) => new()
    {
        TensorParallel = estimate.Plan.TensorParallel,
        PipelineParallel = estimate.Plan.PipelineParallel,
        Nodes = estimate.Plan.Nodes,
        LayersPerStage = estimate.Plan.LayersPerStage!,
        IsTight = estimate.IsTight,
        MaxWeightBytes = estimate.Stages.Max(stage => stage.WeightBytes),
        KvCacheTokens = estimate.KvTokens,
        CommandLine = line.Of(estimate, capacity.IsMixed),
    };
}
