using LocalLlm.KvCache;

namespace LocalLlm.Scheduling;

/// <summary>
/// A data-parallel group as the scheduler sees it: a KV cache of its own, sequences of its own, and its part of the step being built.
/// </summary>
/// <param name="index">Which group, from 0.</param>
/// <param name="kvCache">Its blocks.</param>
internal sealed class SchedulingGroup(int index, KvCacheManager kvCache)
{
    /// <summary>Which group, from 0.</summary>
    public int Index => index;

    /// <summary>Its blocks.</summary>
    public KvCacheManager KvCache => kvCache;

    /// <summary>Its admitted sequences, in order of admission.</summary>
    public List<Sequence> Running { get; } = [];

    /// <summary>Tokens that it has left in the step being built.</summary>
    public int Budget { get; private set; }

    /// <summary>Its sequences in the step being built.</summary>
    public int Scheduled { get; private set; }

    /// <summary>The step in flight whose tokens its sequences take in the step being built, before they are known; 0: none.</summary>
    public long FollowedStep { get; set; }

    /// <summary>Drafts that it has left in the step being built.</summary>
    public int DraftBudget { get; set; }

    /// <summary>
    /// Whether it admits no further sequence in the step being built: one was preempted in it, or a waiting sequence that it could have
    /// taken found no room in it, and none that came later may take that one's place.
    /// </summary>
    public bool IsFull { get; set; }

    /// <summary>Blocks that running sequences will take for tokens that are known; where nothing is reserved for them, 0.</summary>
    public long Reserved { get; set; }

    /// <summary>
    /// Blocks that it would hold and owe with the sequence that is being placed; what it was when a sequence was last placed.
    /// </summary>
    public long LoadWithNext { get; set; }

    /// <summary>Begins a step.</summary>
    public void BeginStep(int budget) => (Budget, Scheduled, IsFull, Reserved) = (budget, 0, false, 0);

    /// <summary>A sequence takes part in the step.</summary>
    public void Take(int tokens) => (Budget, Scheduled) = (Budget - tokens, Scheduled + 1);

    /// <summary>A sequence that took part no longer does.</summary>
    public void GiveBack(int tokens) => (Budget, Scheduled) = (Budget + tokens, Scheduled - 1);

    /// <summary>Blocks that are still to be taken for known tokens of running sequences.</summary>
    public long BlocksOwed()
    {
        long owed = 0;
        foreach (var sequence in Running)
            owed += int.Max(0, kvCache.BlocksFor(sequence.NumTokens) - sequence.Blocks.Count);
        return owed;
    }
}
