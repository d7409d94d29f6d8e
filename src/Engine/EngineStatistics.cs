namespace LocalLlm;

/// <summary>The engine's figures at one moment.</summary>
/// <param name="Running">Running sequences.</param>
/// <param name="Waiting">Waiting sequences, preempted ones included.</param>
/// <param name="KvCacheUsage">Share of KV blocks held by sequences, 0 to 1.</param>
/// <param name="KvBlocksTotal">All KV blocks, of all data-parallel groups.</param>
/// <param name="KvBlocksFree">KV blocks that no sequence holds.</param>
/// <param name="Preemptions">Sequences preempted since the start.</param>
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
    /// How evenly a model uses its experts since the start: the mean number of tokens of an expert divided by that of the busiest,
    /// averaged over the layers (of the last pipeline stage). With <see cref="EngineOptions.ExpertBalancing"/> the same ratio over ranks.
    /// 1: perfectly even; null: the model has no experts.
    /// </summary>
    public double? ExpertBalance { get; init; }
}
