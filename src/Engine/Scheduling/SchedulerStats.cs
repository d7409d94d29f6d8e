using LocalLlm.KvCache;

namespace LocalLlm.Scheduling;

/// <summary>The scheduler's figures at one moment.</summary>
/// <param name="NumRunning">Admitted sequences.</param>
/// <param name="NumWaiting">Queued sequences, preempted ones included.</param>
/// <param name="KvCacheUsage">Share of KV blocks held by sequences, 0 to 1.</param>
/// <param name="NumPreemptions">Preemptions since the start.</param>
/// <param name="PrefixCacheQueries">Prompt tokens looked up in the prefix cache since the start.</param>
/// <param name="PrefixCacheHits">Prompt tokens found there.</param>
/// <param name="Speculation">Results of speculative decoding; null: it is off.</param>
/// <param name="ExpertBalance">How evenly experts are used; null: the model has none.</param>
internal readonly record struct SchedulerStats(
    int NumRunning,
    int NumWaiting,
    double KvCacheUsage,
    long NumPreemptions,
    long PrefixCacheQueries,
    long PrefixCacheHits,
    SpeculationStatistics? Speculation,
    double? ExpertBalance)
{
    /// <summary>
    /// Combines these figures with those of the KV caches (one for each data-parallel group) and of the loop, for publication.
    /// </summary>
    public EngineStatistics ToStatistics(KvCacheManager[] kvCaches, long numSteps, long numGeneratedTokens)
    {
        var (blocks, free) = (0, 0);
        foreach (var kvCache in kvCaches)
            (blocks, free) = (blocks + kvCache.NumBlocks, free + kvCache.NumFreeBlocks);
        return new(NumRunning, NumWaiting, KvCacheUsage, blocks, free, NumPreemptions, PrefixCacheQueries, PrefixCacheHits, numSteps, numGeneratedTokens)
        {
            Speculation = Speculation,
            ExpertBalance = ExpertBalance,
        };
    }
}
