using LocalLlm.Execution;
namespace LocalLlm.Scheduling;

/// <content>Choosing a step.</content>
internal sealed partial class Scheduler
{
    private readonly Queue<StepRecord> _inFlight = []; // oldest first
    private readonly Stack<StepRecord> _records = []; // for reuse
    private readonly SchedulerOutput _nothing = new();
    private readonly List<long> _finishedIds = []; // since the last step that was not empty
    private readonly List<long> _preemptedIds = [];
    private long _lastStepId;
    private int _budget; // tokens left in the step being built

    /// <summary>
    /// Chooses the next step: running sequences first, in order, so that decodes win; then, if nothing had to be preempted,
    /// waiting ones; then drafts. The output must be reported back, unless it is empty.
    /// </summary>
    /// <param name="runAhead">Whether a sequence whose next token the step in flight samples may take part: the device knows the token.</param>
    public SchedulerOutput Schedule(bool runAhead = false)
    {
        var step = _records.TryPop(out var used) ? used : new StepRecord();
        _budget = _options.MaxNumBatchedTokens;
        _options.Learning?.Refill();
        var preemptionsBefore = _numPreemptions;
        if (runAhead && _options.CreateDrafter is not null)
            ChooseWhoWaitsToDraft();
        if (!ScheduleRunning(step, runAhead))
        {
            Recycle(step);
            return _nothing;
        }

        if (_numPreemptions == preemptionsBefore)
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

    // False: there is no room, and with a step in flight the right one to preempt is not known: that step must complete first.
    private bool ScheduleRunning(StepRecord step, bool runAhead)
    {
        if (_options.MicroBatches == 1)
            return ScheduleRunning(step, runAhead, static _ => true, int.MaxValue);
        // Of several steps in flight each takes its share, and who is in none goes before the next chunks of long prompts.
        var share = (_running.Count + _options.MicroBatches - 1) / _options.MicroBatches;
        return ScheduleRunning(step, runAhead, static sequence => sequence.NumInFlightSteps == 0, share)
            && ScheduleRunning(step, runAhead, static sequence => sequence.NumInFlightSteps > 0, share);
    }

    private bool ScheduleRunning(StepRecord step, bool runAhead, Func<Sequence, bool> takesPart, int share)
    {
        for (var i = 0; i < _running.Count && _budget > 0 && step.Count < share; i++)
        {
            var sequence = _running[i];
            if (!takesPart(sequence))
                continue;
            // 0 while all known tokens are in flight: it takes part again when its next token is known, here or on the device.
            var pending = sequence.NumTokens - sequence.NextPosition;
            var count = Chunk(pending == 0 && runAhead && GoesOn(sequence) && !sequence.WaitsToDraft ? 1 : pending);
            if (count <= 0)
                continue;
            if (runAhead && !_kvCache.TryAllocate(sequence.Blocks, sequence.NextPosition + count))
                return false;
            if (runAhead || MakeRoom(sequence, sequence.NextPosition + count, step, ref i))
                Take(sequence, count, step);
        }

        return true;
    }

    private void ScheduleWaiting(StepRecord step)
    {
        if (_waiting.Count == 0)
            return;
        var reserved = _options.ReserveFullPrompt ? BlocksOwedToRunning() : 0;
        while (_budget > 0 && _running.Count < _options.MaxNumSeqs && _kvCache.NumFreeBlocks > 0 && _waiting.First is { } sequence)
        {
            var skipsCache = sequence.SkipReadingPrefixCache || sequence.OwesPromptLogits;
            var hits = skipsCache ? [] : _kvCache.FindComputedBlocks(sequence.Blocks, sequence.TokenIds);
            var computed = hits.Length * _kvCache.BlockSize;
            var count = Chunk(sequence.NumTokens - computed);
            if (count == 0
                || !HasRoom(sequence, computed + count, hits, reserved)
                || !_kvCache.TryAllocate(sequence.Blocks, computed + count, hits))
                return; // in order of service: nobody overtakes the first

            Admit(sequence, computed, skipsCache);
            if (_options.ReserveFullPrompt)
                reserved += _kvCache.BlocksFor(sequence.NumTokens) - sequence.Blocks.Count;
            Take(sequence, count, step);
        }
    }

    /// <summary>
    /// Whether the newest step in flight samples the sequence's next token (a device keeps those of that step only) and, as far as its length
    /// says, that will not be the last.
    /// </summary>
    private bool GoesOn(Sequence sequence) =>
        sequence.LastStepId == _lastStepId && sequence.NumPendingTokens == 1
        && sequence.NumOutputTokens + 1 < sequence.MaxTokens && sequence.NumTokens + 1 < _options.MaxModelLen;

    /// <summary>How many of <paramref name="pending"/> tokens go into this step; 0 if a prompt must be whole and is not.</summary>
    private int Chunk(int pending)
    {
        if (!_options.EnableChunkedPrefill)
            return pending <= _budget ? pending : 0;
        var cap = _options.LongPrefillTokenThreshold > 0 ? int.Min(_options.LongPrefillTokenThreshold, _budget) : _budget;
        return int.Min(pending, cap);
    }

    private void Take(Sequence sequence, int count, StepRecord step)
    {
        step.Add(sequence, count);
        _budget -= count;
    }

    /// <summary>
    /// Covers <paramref name="numTokens"/> positions of a running sequence, preempting from the end of the order. False if the
    /// sequence gets nothing this step: it was preempted itself, or waits for blocks of a step in flight.
    /// </summary>
    /// <param name="sequence">The sequence at <paramref name="index"/>.</param>
    /// <param name="numTokens">Positions to cover.</param>
    /// <param name="step">The step being built.</param>
    /// <param name="index">Index in the running list; moved back when a sequence before it leaves the list.</param>
    private bool MakeRoom(Sequence sequence, int numTokens, StepRecord step, ref int index)
    {
        while (!_kvCache.TryAllocate(sequence.Blocks, numTokens))
        {
            var victimIndex = ChooseVictim(index);
            // While others are in flight the last in order may only seem so; they can be preempted when they are back.
            if (victimIndex < 0 || (victimIndex == index && _inFlight.Count > 0))
                return false;
            var victim = _running[victimIndex];
            _running.RemoveAt(victimIndex);
            _budget += step.Remove(victim);
            Preempt(victim);
            if (victimIndex <= index)
                index--;
            if (victim == sequence)
                return false;
        }

        return true;
    }

    /// <summary>
    /// The last in order of service that no step in flight holds (its blocks could not be reused yet), or -1. Never one that
    /// goes before the sequence at <paramref name="index"/>: were only those not in flight, they would push one another out
    /// in turn and nobody would reach the end.
    /// </summary>
    private int ChooseVictim(int index)
    {
        if (_options.Policy == SchedulingPolicy.Fcfs)
        {
            for (var i = _running.Count - 1; i >= index; i--)
            {
                if (_running[i].NumInFlightSteps == 0)
                    return i;
            }

            return -1;
        }

        var worst = -1;
        for (var i = 0; i < _running.Count; i++)
        {
            if (_running[i].NumInFlightSteps == 0 && _waiting.Compare(_running[i], _running[worst < 0 ? index : worst]) >= 0)
                worst = i;
        }

        return worst;
    }

    private void Preempt(Sequence victim)
    {
        _kvCache.Free(victim.Blocks);
        victim.State = SequenceState.Preempted;
        victim.NumComputedTokens = 0;
        victim.NumPreemptions++;
        _numPreemptions++;
        _preemptedIds.Add(victim.Id);
        _waiting.Add(victim);
    }

    /// <summary>
    /// Whether a waiting sequence, if admitted now, would not soon push somebody out. Never holds up the only one.
    /// </summary>
    private bool HasRoom(Sequence sequence, int firstChunkEnd, ReadOnlySpan<int> hits, long reserved)
    {
        if (_running.Count == 0)
            return true;
        var cover = _options.ReserveFullPrompt ? sequence.NumTokens : firstChunkEnd;
        var watermark = (int)(_options.AdmissionWatermark * _kvCache.NumBlocks);
        return _kvCache.FreeBlocksNeeded(sequence.Blocks, cover, hits) + reserved + watermark <= _kvCache.NumFreeBlocks;
    }

    private long BlocksOwedToRunning()
    {
        long owed = 0;
        foreach (var sequence in _running)
            owed += int.Max(0, _kvCache.BlocksFor(sequence.NumTokens) - sequence.Blocks.Count);
        return owed;
    }

    private void Admit(Sequence sequence, int computed, bool skipsCache)
    {
        _waiting.Remove(sequence);
        _running.Add(sequence);
        sequence.State = SequenceState.Running;
        sequence.Drafter ??= _options.CreateDrafter?.Invoke();
        sequence.NumComputedTokens = computed;
        if (sequence.FirstScheduledTimestamp is not null)
            return;
        sequence.FirstScheduledTimestamp = _time.GetTimestamp();
        sequence.NumCachedTokens = computed;
        if (skipsCache || !_kvCache.PrefixCachingEnabled)
            return;
        _prefixQueries += sequence.NumTokens;
        _prefixHits += computed;
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
        $"the scheduler found nothing to do for {NumRunning} running and {NumWaiting} waiting sequences with {_kvCache.NumFreeBlocks} of " +
        $"{_kvCache.NumBlocks} KV blocks free and no step in flight. The engine must be restarted; please report this.");
}
