namespace LocalLlm.Scheduling;

/// <content>Admits waiting sequences to a step, each in a data-parallel group.</content>
internal sealed partial class Scheduler
{
    private readonly List<SchedulingGroup> _choices = []; // for the sequence being admitted, reused

    private void ScheduleWaiting(StepRecord step)
    {
        foreach (var group in _groups)
            group.Reserved = _options.ReserveFullPrompt ? group.BlocksOwed() : 0;
        // In order of service: once a sequence has no room, no later one may overtake it, except in groups that it cannot use.
        for (var sequence = NextWaiting(null); sequence is not null && HasOpenGroup(); sequence = NextWaiting(sequence))
        {
            ChooseGroups(sequence);
            if (_choices.Count > 0 && !_choices.Exists(group => TryAdmit(sequence, group, step)))
                _choices.ForEach(static group => group.IsFull = true);
        }
    }

    // With one group, always the first: a sequence that was not admitted has ended the search.
    private Sequence? NextWaiting(Sequence? before) => before is null || before.State == SequenceState.Running || _groups.Length == 1
        ? _waiting.First : _waiting.After(before);

    private bool HasOpenGroup() => Array.Exists(_groups, IsOpen);

    private bool IsOpen(SchedulingGroup group) =>
        !group.IsFull && group.Budget > 0 && group.Running.Count < _options.MaxNumSeqs && group.KvCache.NumFreeBlocks > 0;

    /// <summary>
    /// Collects the groups that may take a waiting sequence, best first. A sequence that was in a group before stays there. Otherwise the
    /// best group has the fewest blocks that are held, owed, or needed for the sequence's tokens beyond a cached prefix.
    /// </summary>
    private void ChooseGroups(Sequence sequence)
    {
        _choices.Clear();
        foreach (var group in _groups)
        {
            if (IsOpen(group) && (sequence.Group ?? group) == group)
                _choices.Add(group);
        }

        if (_choices.Count < 2)
            return;
        // Computed once for each group and not in every comparison: it visits the group's sequences and the hashes of the prompt.
        foreach (var group in _choices)
            group.LoadWithNext = LoadWith(group);
        _choices.Sort(static (left, right) => (left.LoadWithNext, left.Running.Count, left.Index).CompareTo((right.LoadWithNext, right.Running.Count, right.Index)));

        long LoadWith(SchedulingGroup group) =>
            group.KvCache.NumBlocks - group.KvCache.NumFreeBlocks + group.BlocksOwed() + group.KvCache.BlocksFor(sequence.NumTokens) - Hits(sequence, group).Length;
    }

    private static bool SkipsCache(Sequence sequence) => sequence.SkipReadingPrefixCache || sequence.OwesPromptLogits;

    private static ReadOnlySpan<int> Hits(Sequence sequence, SchedulingGroup group) =>
        SkipsCache(sequence) ? [] : group.KvCache.FindComputedBlocks(sequence.Blocks, sequence.TokenIds);

    private bool TryAdmit(Sequence sequence, SchedulingGroup group, StepRecord step)
    {
        var skipsCache = SkipsCache(sequence);
        var hits = Hits(sequence, group);
        var computed = hits.Length * group.KvCache.BlockSize;
        var count = Chunk(group, sequence.NumTokens - computed);
        if (count == 0
            || !HasRoom(group, sequence, computed + count, hits)
            || !group.KvCache.TryAllocate(sequence.Blocks, computed + count, hits))
            return false;

        Admit(group, sequence, computed, skipsCache);
        if (_options.ReserveFullPrompt)
            group.Reserved += group.KvCache.BlocksFor(sequence.NumTokens) - sequence.Blocks.Count;
        Take(sequence, count, step);
        return true;
    }

    /// <summary>
    /// Whether a waiting sequence can be admitted now without soon preempting another. Always true if no sequence runs in the group.
    /// </summary>
    private bool HasRoom(SchedulingGroup group, Sequence sequence, int firstChunkEnd, ReadOnlySpan<int> hits)
    {
        if (group.Running.Count == 0)
            return true;
        var kvCache = group.KvCache;
        var cover = _options.ReserveFullPrompt ? sequence.NumTokens : firstChunkEnd;
        var watermark = (int)(_options.AdmissionWatermark * kvCache.NumBlocks);
        return kvCache.FreeBlocksNeeded(sequence.Blocks, cover, hits) + group.Reserved + watermark <= kvCache.NumFreeBlocks;
    }

    private void Admit(SchedulingGroup group, Sequence sequence, int computed, bool skipsCache)
    {
        _waiting.Remove(sequence);
        group.Running.Add(sequence);
        sequence.Group = group;
        sequence.State = SequenceState.Running;
        sequence.Drafter ??= _options.CreateDrafter?.Invoke();
        sequence.NumComputedTokens = computed;
        if (sequence.FirstScheduledTimestamp is not null)
            return;
        sequence.FirstScheduledTimestamp = _time.GetTimestamp();
        sequence.NumCachedTokens = computed;
        if (skipsCache || !group.KvCache.PrefixCachingEnabled)
            return;
        _prefixQueries += sequence.NumTokens;
        _prefixHits += computed;
    }
}
