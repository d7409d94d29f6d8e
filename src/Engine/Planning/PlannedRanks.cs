using LocalLlm.Parallel;

namespace LocalLlm.Planning;

/// <summary>Computes what every rank of an estimate holds.</summary>
internal static class PlannedRanks
{
    /// <summary>The ranks in order.</summary>
    public static IReadOnlyList<RankPlan> Of(CapacityEstimate estimate, ModelShape shape) => [.. estimate.Plan.Ranks.Select(place => RankOf(place, estimate, shape))];

    private static RankPlan RankOf(RankPlace place, CapacityEstimate estimate, ModelShape shape)
    {
        var ranks = estimate.Plan.TensorParallel;
        var stage = estimate.Stages[place.Stage];
        var heads = ShardRange.At(shape.Heads, place.TensorRank, ranks);
        var kvHeads = shape.Latent is null ? ShardRange.KvHeadsAt(shape.KvHeads, place.TensorRank, ranks) : default;
        return new()
        {
            Rank = place.Rank,
            Node = place.Node,
            LocalIndex = place.LocalIndex,
            TensorRank = place.TensorRank,
            Stage = place.Stage,
            Group = place.Group,
            Card = stage.Card.Name,
            FirstLayer = stage.FirstLayer,
            NumLayers = stage.Layers,
            FirstHead = (int)heads.Start,
            NumHeads = (int)heads.Length,
            FirstKvHead = (int)kvHeads.Start,
            NumKvHeads = (int)kvHeads.Length,
            MemoryBytes = stage.Card.MemoryBytes,
            BudgetBytes = stage.BudgetBytes,
            WeightBytes = stage.WeightBytes,
            ActivationBytes = stage.ActivationBytes,
            GraphBytes = stage.GraphBytes,
            KvBytesPerToken = stage.KvBytesPerToken,
            FreeBytes = stage.FreeBytes,
            KvCacheTokens = stage.KvTokens,
        };
    }
}
