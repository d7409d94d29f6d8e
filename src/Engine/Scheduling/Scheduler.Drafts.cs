namespace LocalLlm.Scheduling;

/// <content>Schedules drafts. They are guesses, so they get only what is left over, and no sequence is preempted for them.</content>
internal sealed partial class Scheduler
{
    // If there is room for few drafts, the sequence that drafted longest ago goes first.
    private static readonly Comparison<(Sequence Sequence, int Index)> LongestAgoFirst = static (left, right) =>
        (left.Sequence.LastDraftStepId, left.Sequence.ArrivalOrder)
            .CompareTo((right.Sequence.LastDraftStepId, right.Sequence.ArrivalOrder));

    private readonly List<(Sequence Sequence, int Index)> _draftOrder = []; // of the latest pass, reused

    private void ScheduleDrafts(StepRecord step)
    {
        _draftOrder.Clear();
        for (var i = 0; i < step.Count; i++)
        {
            var sequence = step[i];
            if (sequence.Drafter is null)
                continue;
            if (sequence.NumOutputTokens == 0)
                sequence.Drafter.Propose(sequence.TokenIds, sequence.NumPromptTokens, max: 0); // it learns while the prompt is computed
            else if (sequence.NumInFlightSteps == 0 && sequence.NextPosition == sequence.NumTokens - 1)
                _draftOrder.Add((sequence, i));
        }

        _draftOrder.Sort(LongestAgoFirst);
        foreach (var group in _groups)
            group.DraftBudget = int.Min(group.Budget, _options.MaxDraftsOfStep);
        foreach (var (sequence, index) in _draftOrder)
        {
            var group = sequence.Group!;
            var drafts = Propose(sequence, sequence.NumTokens, group.DraftBudget, group.KvCache.NumFreeBlocks - group.Running.Count);
            if (drafts.IsEmpty || !group.KvCache.TryAllocate(sequence.Blocks, sequence.NumTokens + drafts.Length))
                continue;
            step.AddDrafts(index, drafts);
            sequence.LastDraftStepId = _lastStepId + 1;
            group.DraftBudget -= drafts.Length;
        }
    }

    /// <summary>
    /// When steps run ahead, a sequence's tokens are never all known while a step is chosen, so it could never have drafts. A sequence
    /// that the next step could give drafts to therefore skips one step: it takes part again once its token is known.
    /// </summary>
    private void ChooseWhoWaitsToDraft(SchedulingGroup group)
    {
        _draftOrder.Clear();
        long tokens = 0; // of the next step, without drafts
        for (var i = 0; i < group.Running.Count; i++)
        {
            var sequence = group.Running[i];
            var pending = sequence.NumTokens - sequence.NextPosition;
            tokens += int.Max(1, _options.LongPrefillTokenThreshold > 0 ? int.Min(_options.LongPrefillTokenThreshold, pending) : pending);
            sequence.WaitsToDraft = false;
            if (sequence.Drafter is not null && pending == 0 && sequence.LastStepId == group.FollowedStep && GoesOn(sequence))
                _draftOrder.Add((sequence, i));
        }

        _draftOrder.Sort(LongestAgoFirst);
        var budget = (int)long.Clamp(_options.MaxNumBatchedTokens - tokens, 0, _options.MaxDraftsOfStep);
        var freeBlocks = group.KvCache.NumFreeBlocks - group.Running.Count;
        foreach (var (sequence, _) in _draftOrder)
        {
            var numTokens = sequence.NumTokens + 1; // with the one in flight
            var count = Propose(sequence, numTokens, budget, freeBlocks).Length;
            if (count == 0)
                continue;
            sequence.WaitsToDraft = true;
            budget -= count;
            freeBlocks -= int.Max(0, group.KvCache.BlocksFor(numTokens + count) - sequence.Blocks.Count);
        }
    }

    /// <summary>Proposes the drafts of a sequence that a step has room for.</summary>
    /// <param name="sequence">The sequence.</param>
    /// <param name="numTokens">Number of its tokens that are known in that step.</param>
    /// <param name="budget">Drafts that the step has left.</param>
    /// <param name="freeBlocks">Blocks left after each running sequence has taken one for its next token; below 0: too few for
    /// that.</param>
    private ReadOnlySpan<int> Propose(Sequence sequence, int numTokens, int budget, int freeBlocks)
    {
        // The token after the last draft counts as output too.
        var tokensLeft = int.Min(sequence.MaxTokens - (numTokens - sequence.NumPromptTokens), _options.MaxModelLen - numTokens) - 1;
        var room = ((long)(sequence.Blocks.Count + int.Max(0, freeBlocks)) * sequence.Group!.KvCache.BlockSize) - numTokens;
        var max = (int)long.Clamp(room, 0, int.Max(0, int.Min(int.Min(tokensLeft, budget), _options.MaxDrafts)));
        return sequence.Drafter!.Propose(sequence.TokenIds, sequence.NumPromptTokens, max);
    }
}
