using LocalLlm.Execution;
namespace LocalLlm.Scheduling;

/// <content>Chooses a step.</content>
internal sealed partial class Scheduler
{
    private readonly Queue<StepRecord> _inFlight = []; // oldest first
    private readonly Stack<StepRecord> _records = []; // for reuse
    private readonly SchedulerOutput _nothing = new();
    private readonly List<long> _finishedIds = []; // since the last step that was not empty
    private readonly List<long> _preemptedIds = [];
    private long _lastStepId;

    /// <summary>
    /// Chooses the next step: running sequences first, in order, so that decodes come first; then waiting ones, if no sequence was
    /// preempted; then drafts. The output must be reported back, unless it is empty.
    /// </summary>
    /// <param name="runAhead">Whether to include a sequence whose next token is sampled by a step in flight: the device will know that
    /// token.</param>
    public SchedulerOutput Schedule(bool runAhead = false)
    {
        var step = _records.TryPop(out var used) ? used : new StepRecord();
        _options.Learning?.Refill();
        var preemptionsBefore = _numPreemptions;
        foreach (var group in _groups)
        {
            group.BeginStep(_options.MaxNumBatchedTokens);
            group.FollowedStep = runAhead ? StepToFollow(group) : 0;
            if (runAhead && _options.CreateDrafter is not null)
                ChooseWhoWaitsToDraft(group);
            var preemptionsOfOthers = _numPreemptions;
            if (!ScheduleRunning(group, step, runAhead))
            {
                Recycle(step);
                return _nothing;
            }

            group.IsFull = _numPreemptions != preemptionsOfOthers;
        }

        if (_waiting.Count > 0)
            ScheduleWaiting(step);

        if (step.Count == 0)
        {
            _records.Push(step);
            if (HasUnfinished && _inFlight.Count == 0 && _numPreemptions == preemptionsBefore)
                throw Stuck();
            return _nothing;
        }

        if (_options.CreateDrafter is not null)
            ScheduleDrafts(step);
        return BeginFlight(step);
    }

    // False: no room, and while steps are in flight it is not known whom to preempt. A step must complete first.
    private bool ScheduleRunning(SchedulingGroup group, StepRecord step, bool runAhead)
    {
        if (_options.MicroBatches == 1)
            return ScheduleRunning(group, step, runAhead, static _ => true, int.MaxValue);
        // Each of several steps in flight takes its share. Sequences that are in none go before the next chunks of long prompts.
        var share = (group.Running.Count + _options.MicroBatches - 1) / _options.MicroBatches;
        return ScheduleRunning(group, step, runAhead, static sequence => sequence.NumInFlightSteps == 0, share)
            && ScheduleRunning(group, step, runAhead, static sequence => sequence.NumInFlightSteps > 0, share);
    }

    private bool ScheduleRunning(SchedulingGroup group, StepRecord step, bool runAhead, Func<Sequence, bool> takesPart, int share)
    {
        for (var i = 0; i < group.Running.Count && group.Budget > 0 && group.Scheduled < share; i++)
        {
            var sequence = group.Running[i];
            if (!takesPart(sequence))
                continue;
            // 0 while all known tokens are in flight: the sequence takes part again once the host or the device knows its next token.
            var pending = sequence.NumTokens - sequence.NextPosition;
            var goesOn = pending == 0 && sequence.LastStepId == group.FollowedStep && GoesOn(sequence) && !sequence.WaitsToDraft;
            var count = Chunk(group, goesOn ? 1 : pending);
            if (count <= 0)
                continue;
            if (runAhead && !group.KvCache.TryAllocate(sequence.Blocks, sequence.NextPosition + count))
                return false;
            if (runAhead || MakeRoom(group, sequence, sequence.NextPosition + count, step, ref i))
                Take(sequence, count, step);
        }

        return true;
    }

    /// <summary>
    /// The step in flight whose sampled tokens this step takes before the host knows them; 0: none. In a pipeline it is the oldest step
    /// that no step follows yet, and only that one: its tokens are available first, and its sequences remain together in a step. If the
    /// host must know the tokens first, this step does not follow it but waits.
    /// </summary>
    private long StepToFollow(SchedulingGroup group)
    {
        var oldest = long.MaxValue;
        foreach (var sequence in group.Running)
        {
            // Devices keep the sampled tokens of the latest steps only, as many as there are stages.
            if (sequence.LastStepId > _lastStepId - _options.MicroBatches && sequence.LastStepId < oldest
                && sequence.NumTokens == sequence.NextPosition && GoesOn(sequence))
                oldest = sequence.LastStepId;
        }

        foreach (var step in _inFlight)
        {
            if (step.Output is { SamplesOnHost: false, NeedsHistory: false } output && output.StepId == oldest)
                return oldest;
        }

        return 0;
    }

    /// <summary>
    /// Whether exactly one step in flight samples a token of the sequence and, judged by the length limits, that token is not the last.
    /// </summary>
    private bool GoesOn(Sequence sequence) =>
        sequence.NumPendingTokens == 1 && sequence.NumOutputTokens + 1 < sequence.MaxTokens && sequence.NumTokens + 1 < _options.MaxModelLen;

    /// <summary>How many of <paramref name="pending"/> tokens fit into this step; 0 if a prompt must be whole and does not fit.</summary>
    private int Chunk(SchedulingGroup group, int pending)
    {
        if (!_options.EnableChunkedPrefill)
            return pending <= group.Budget ? pending : 0;
        var cap = _options.LongPrefillTokenThreshold > 0 ? int.Min(_options.LongPrefillTokenThreshold, group.Budget) : group.Budget;
        return int.Min(pending, cap);
    }

    private static void Take(Sequence sequence, int count, StepRecord step)
    {
        step.Add(sequence, count);
        sequence.Group!.Take(count);
    }

    /// <summary>
    /// Allocates blocks for <paramref name="numTokens"/> positions of a running sequence, preempting from the end of the order if needed.
    /// False if the sequence gets nothing in this step: it was preempted itself, or waits for blocks of a step in flight.
    /// </summary>
    /// <param name="group">The sequence's group.</param>
    /// <param name="sequence">The sequence at <paramref name="index"/>.</param>
    /// <param name="numTokens">Positions to cover.</param>
    /// <param name="step">The step being built.</param>
    /// <param name="index">Index in the running list; reduced when a sequence before it leaves the list.</param>
    private bool MakeRoom(SchedulingGroup group, Sequence sequence, int numTokens, StepRecord step, ref int index)
    {
        while (!group.KvCache.TryAllocate(sequence.Blocks, numTokens))
        {
            var victimIndex = ChooseVictim(group.Running, index);
            // Sequences in flight cannot be preempted yet, so this one may only seem to be the last. Wait until they complete.
            if (victimIndex < 0 || (victimIndex == index && _inFlight.Count > 0))
                return false;
            var victim = group.Running[victimIndex];
            group.Running.RemoveAt(victimIndex);
            if (step.Remove(victim) is > 0 and var tokens)
                group.GiveBack(tokens);
            Preempt(victim);
            if (victimIndex <= index)
                index--;
            if (victim == sequence)
                return false;
        }

        return true;
    }

    /// <summary>
    /// The last sequence in order of service that no step in flight holds (its blocks could not be reused yet), or -1. Never one that goes
    /// before the sequence at <paramref name="index"/>: otherwise sequences that are not in flight would preempt one another in turn, and
    /// none would finish.
    /// </summary>
    private int ChooseVictim(List<Sequence> running, int index)
    {
        if (_options.Policy == SchedulingPolicy.Fcfs)
        {
            for (var i = running.Count - 1; i >= index; i--)
            {
                if (running[i].NumInFlightSteps == 0)
                    return i;
            }

            return -1;
        }

        var worst = -1;
        for (var i = 0; i < running.Count; i++)
        {
            if (running[i].NumInFlightSteps == 0 && _waiting.Compare(running[i], running[worst < 0 ? index : worst]) >= 0)
                worst = i;
        }

        return worst;
    }

    private void Preempt(Sequence victim)
    {
        victim.Group!.KvCache.Free(victim.Blocks);
        victim.State = SequenceState.Preempted;
        victim.NumComputedTokens = 0;
        victim.NumPreemptions++;
        _numPreemptions++;
        _preemptedIds.Add(victim.Id);
        _waiting.Add(victim);
    }

    private SchedulerOutput BeginFlight(StepRecord step)
    {
        step.BeginFlight(++_lastStepId);
        var output = step.Output;
        output.FinishedIds.AddRange(_finishedIds);
        output.PreemptedIds.AddRange(_preemptedIds);
        _finishedIds.Clear();
        _preemptedIds.Clear();
        _inFlight.Enqueue(step);
        return output;
    }

    private EngineException Stuck() => new(
        EngineErrorKind.EngineDead,
        $"the scheduler found nothing to do for {NumRunning} running and {NumWaiting} waiting sequences with {_groups.Sum(group => group.KvCache.NumFreeBlocks)} of " +
        $"{_groups.Sum(group => group.KvCache.NumBlocks)} KV blocks free and no step in flight. The engine must be restarted; please report this.");
}
