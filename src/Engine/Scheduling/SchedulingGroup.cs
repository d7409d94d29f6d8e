using LocalLlm.KvCache;

namespace LocalLlm.Scheduling;

/// <summary>
/// A data-parallel group as the scheduler sees it: a KV cache of its own, sequences of its own, and its part of the step being built.
/// </summary>
/// <param name="index">The group's index, from 0.</param>
/// <param name="kvCache">The group's KV cache.</param>
internal sealed class SchedulingGroup(int index, KvCacheManager kvCache)
{
    /// <summary>The group's index, from 0.</summary>
    public int Index => index;

    /// <summary>The group's KV cache.</summary>
    public KvCacheManager KvCache => kvCache;

    /// <summary>The group's admitted sequences, in order of admission.</summary>
    public List<Sequence> Running { get; } = [];

    /// <summary>Tokens that the group has left in the step being built.</summary>
    public int Budget { get; private set; }

    /// <summary>Number of the group's sequences in the step being built.</summary>
    public int Scheduled { get; private set; }

    /// <summary>The step in flight whose tokens the step being built takes before the host knows them; 0: none.</summary>
    public long FollowedStep { get; set; }

    /// <summary>Drafts that the group has left in the step being built.</summary>
    public int DraftBudget { get; set; }

    /// <summary>
    /// Whether the group admits no further sequence in the step being built. Either a sequence was preempted in it, or a waiting sequence
    /// that could use the group found no room, and no later one may overtake that sequence.
    /// </summary>
    public bool IsFull { get; set; }

    /// <summary>Blocks reserved for known tokens of running sequences; 0 if blocks are not reserved.</summary>
    public long Reserved { get; set; }

    /// <summary>
    /// Blocks that the group would hold and owe with the sequence that is being placed; set anew for every sequence.
    /// </summary>
    public long LoadWithNext { get; set; }

    /// <summary>Begins a step.</summary>
    public void BeginStep(int budget) => (Budget, Scheduled, IsFull, Reserved) = (budget, 0, false, 0);

    /// <summary>Adds a sequence with this many tokens to the step.</summary>
    public void Take(int tokens) => (Budget, Scheduled) = (Budget - tokens, Scheduled + 1);

    /// <summary>Removes a sequence with this many tokens from the step.</summary>
    public void GiveBack(int tokens) => (Budget, Scheduled) = (Budget + tokens, Scheduled - 1);

    /// <summary>Blocks that running sequences still have to take for known tokens.</summary>
    public long BlocksOwed()
    {
        long owed = 0;
        foreach (var sequence in Running)
            owed += int.Max(0, kvCache.BlocksFor(sequence.NumTokens) - sequence.Blocks.Count);
        return owed;
    }
}
