using LocalLlm.Parallel;

namespace LocalLlm.Planning;

/// <summary>What comes of a plan on devices.</summary>
/// <param name="Plan">How the model is spread, with the layers of each stage.</param>
/// <param name="Settings">What it is computed with.</param>
/// <param name="Stages">What the ranks of each stage hold.</param>
/// <param name="WantedTokens">Tokens that a plan holds at least, to be of use.</param>
internal sealed record CapacityEstimate(ParallelPlan Plan, PlanSettings Settings, IReadOnlyList<StageEstimate> Stages, long WantedTokens)
{
    /// <summary>Tokens that the KV cache holds; 0: it does not fit.</summary>
    public long KvTokens => Math.Max(0, Stages.Min(stage => stage.KvTokens));

    /// <summary>Whether the weights fit, and a KV cache of use beside them.</summary>
    public bool Fits => KvTokens >= WantedTokens && Stages.All(stage => stage.FreeBytes >= 0);

    /// <summary>Whether it fits only with settings that were not asked for.</summary>
    public bool IsTight => Settings.Arguments.Count > 0;

    /// <summary>The stage that has the least room: that misses most, or whose KV cache holds the fewest tokens.</summary>
    public StageEstimate Fullest => Stages.MinBy(stage => (Math.Min(0, stage.FreeBytes), stage.KvTokens, stage.FreeBytes))!;
}
