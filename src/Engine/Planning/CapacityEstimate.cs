using LocalLlm.Parallel;

namespace LocalLlm.Planning;

/// <summary>The memory that a plan takes on given devices.</summary>
/// <param name="Plan">How the model is spread, with the layers of each stage.</param>
/// <param name="Settings">The settings of the estimate.</param>
/// <param name="Stages">What the ranks of each stage hold.</param>
/// <param name="WantedTokens">Tokens that the KV cache must hold at least to be useful.</param>
internal sealed record CapacityEstimate(ParallelPlan Plan, PlanSettings Settings, IReadOnlyList<StageEstimate> Stages, long WantedTokens)
{
    /// <summary>Tokens that the KV cache holds; 0: it does not fit.</summary>
    public long KvTokens => Math.Max(0, Stages.Min(stage => stage.KvTokens));

    /// <summary>Whether the weights and a useful KV cache fit.</summary>
    public bool Fits => KvTokens >= WantedTokens && Stages.All(stage => stage.FreeBytes >= 0);

    /// <summary>Whether it fits only with settings that the user did not ask for.</summary>
    public bool IsTight => Settings.Arguments.Count > 0;

    /// <summary>The stage that lacks the most memory; if none lacks any, the one whose KV cache holds the fewest tokens.</summary>
    public StageEstimate Fullest => Stages.MinBy(stage => (Math.Min(0, stage.FreeBytes), stage.KvTokens, stage.FreeBytes))!;
}
