namespace LocalLlm;

/// <summary>The engine's figures at one moment.</summary>
/// <param name="Running">Sequences that run.</param>
/// <param name="Waiting">Sequences that wait, preempted ones included.</param>
/// <param name="KvCacheUsage">Share of KV blocks held by sequences, 0 to 1.</param>
/// <param name="KvBlocksTotal">All KV blocks, of all data-parallel groups.</param>
/// <param name="KvBlocksFree">KV blocks that no sequence holds.</param>
/// <param name="Preemptions">Sequences that lost their blocks since the start.</param>
/// <param name="PrefixCacheQueries">Prompt tokens looked up in the prefix cache since the start.</param>
/// <param name="PrefixCacheHits">Prompt tokens found there since the start.</param>
/// <param name="Steps">Steps computed since the start.</param>
/// <param name="GeneratedTokens">Tokens generated since the start.</param>
public sealed record EngineStatistics(
    int Running,
    int Waiting,
    double KvCacheUsage,
    int KvBlocksTotal,
    int KvBlocksFree,
    long Preemptions,
    long PrefixCacheQueries,
    long PrefixCacheHits,
    long Steps,
    long GeneratedTokens)
{
    /// <summary>How speculative decoding went; null: it is off (<see cref="EngineOptions.Speculation"/>).</summary>
    public SpeculationStatistics? Speculation { get; init; }

    /// <summary>
    /// How evenly the experts of a mixture are used since the start: tokens of the mean expert over those of the busiest, the mean over the
    /// layers (of the last pipeline stage). With <see cref="EngineOptions.ExpertBalancing"/> those of the mean rank over those of the
    /// busiest. 1: all alike; null: the model has no experts.
    /// </summary>
    public double? ExpertBalance { get; init; }
}
