using LocalLlm.Execution;
using LocalLlm.KvCache;

namespace LocalLlm.Scheduling;

/// <content>What became of a step.</content>
internal sealed partial class Scheduler
{
    /// <summary>
    /// The oldest step in flight has completed: its positions count as computed, its full blocks enter the prefix cache, and
    /// its sampled tokens are appended. Sequences that ended meanwhile get no token.
    /// </summary>
    /// <param name="output">The step. Empty: no effect. The scheduler reuses it afterwards.</param>
    /// <param name="sampledTokenIds">
    /// One per entry of the step, ignored where it samples none; below 0: none could be chosen (non-finite logits), which ends
    /// that sequence with <see cref="FinishReason.Error"/>.
    /// </param>
    /// <exception cref="EngineException">EngineDead: not the oldest step, or the wrong number of tokens.</exception>
    public void Update(SchedulerOutput output, ReadOnlySpan<int> sampledTokenIds)
    {
        if (output.Sequences.Count == 0)
            return;
        if (sampledTokenIds.Length != output.Sequences.Count)
        {
            throw new EngineException(
                EngineErrorKind.EngineDead,
                $"step {output.StepId} has {output.Sequences.Count} sequences but came back with {sampledTokenIds.Length} sampled tokens");
        }

        var step = Dequeue(output);
        var now = _time.GetTimestamp();
        for (var i = 0; i < step.Count; i++)
        {
            var samples = output.Sequences[i].SamplesToken && !step.IsStale(i);
            EndEntry(step, i, completed: true);
            // The observer may have ended it while it handled an earlier entry's token.
            if (samples && step[i].State == SequenceState.Running)
                AppendSampled(step[i], sampledTokenIds[i], now);
        }

        Recycle(step);
    }

    /// <summary>The oldest step in flight failed: every sequence of it ends with <see cref="FinishReason.Error"/>.</summary>
    /// <param name="output">The step. Empty: no effect.</param>
    /// <param name="failure">What was thrown, kept in <see cref="Sequence.Failure"/>.</param>
    public void FailStep(SchedulerOutput output, Exception? failure = null)
    {
        if (output.Sequences.Count == 0)
            return;
        var step = Dequeue(output);
        for (var i = 0; i < step.Count; i++)
        {
            EndEntry(step, i, completed: false);
            Fail(step[i], failure);
        }

        Recycle(step);
    }

    /// <summary>
    /// The oldest step in flight was not (or not wholly) computed, but its sequences are sound: it counts as never scheduled.
    /// The way to retry after <see cref="Finish"/> ended the one to blame.
    /// </summary>
    /// <param name="output">The step. Empty: no effect.</param>
    public void CancelStep(SchedulerOutput output)
    {
        if (output.Sequences.Count == 0)
            return;
        var step = Dequeue(output);
        for (var i = 0; i < step.Count; i++)
            EndEntry(step, i, completed: false);
        Recycle(step);
    }

    /// <summary>
    /// Verifies the KV cache and the scheduler's own books. Cheap enough for every idle moment, and for every step of a test.
    /// </summary>
    /// <exception cref="EngineException">Kind EngineDead, with the numbers.</exception>
    public void CheckIntegrity()
    {
        _kvCache.CheckIntegrity(_running.Concat(_draining).Select(s => s.Blocks));
        if (_sequences.Count != _running.Count + _waiting.Count + _draining.Count)
        {
            throw KvCacheIntegrity.Broken(
                $"{_sequences.Count} sequences are known but {_running.Count} run, {_waiting.Count} wait and {_draining.Count} drain");
        }

        foreach (var sequence in _waiting.All())
        {
            if (sequence.Blocks.Count + sequence.NumComputedTokens + sequence.NumInFlightSteps != 0)
                throw KvCacheIntegrity.Broken($"waiting sequence {sequence.Id} holds {sequence.Blocks.Count} blocks");
        }

        foreach (var sequence in _running)
        {
            if (sequence.State != SequenceState.Running || sequence.Blocks.Count < _kvCache.BlocksFor(sequence.NextPosition)
                || sequence.NextPosition > sequence.NumTokens + sequence.NumPendingTokens)
            {
                throw KvCacheIntegrity.Broken(
                    $"running sequence {sequence.Id} ({sequence.State}) has {sequence.NextPosition} of " +
                    $"{sequence.NumTokens} tokens in {sequence.Blocks.Count} blocks");
            }
        }

        var entries = _inFlight.Sum(step => step.Count);
        var held = _running.Concat(_draining).Sum(s => s.NumInFlightSteps);
        if (entries != held)
            throw KvCacheIntegrity.Broken($"steps in flight have {entries} entries but the sequences count {held}");
    }

    private StepRecord Dequeue(SchedulerOutput output)
    {
        if (!_inFlight.TryPeek(out var step) || step.Output != output)
        {
            throw new EngineException(
                EngineErrorKind.EngineDead,
                $"step {output.StepId} was reported back, but the oldest of the {_inFlight.Count} steps in flight " +
                $"is {step?.Output.StepId ?? 0}");
        }

        return _inFlight.Dequeue();
    }

    private void Recycle(StepRecord step)
    {
        step.Clear();
        _records.Push(step);
    }

    private void EndEntry(StepRecord step, int index, bool completed)
    {
        var sequence = step[index];
        var entry = step.Output.Sequences[index];
        sequence.NumInFlightSteps--;
        if (!step.IsStale(index))
        {
            if (completed)
            {
                sequence.NumInFlightTokens -= entry.TokenIds.Length;
                sequence.NumComputedTokens += entry.TokenIds.Length;
                sequence.NumPendingTokens -= entry.SamplesToken ? 1 : 0;
                if (entry.NeedsPromptLogits)
                    sequence.NumPromptLogitsComputed = int.Max(sequence.NumPromptLogitsComputed, sequence.NumComputedTokens);
                // One that ended before its last token was known has computed a position of no known token, or of a bad one.
                if (sequence.FinishReason != FinishReason.Error)
                    _kvCache.CacheBlocks(sequence.Blocks, sequence.TokenIds, int.Min(sequence.NumComputedTokens, sequence.NumTokens));
            }
            else
            {
                // Later chunks of it that are in flight stood on this one.
                sequence.ScheduleEpoch++;
                sequence.NumInFlightTokens = 0;
                sequence.NumPendingTokens = 0;
            }
        }

        if (sequence.State == SequenceState.Finished && sequence.NumInFlightSteps == 0)
        {
            _draining.Remove(sequence);
            Release(sequence);
        }
    }

    private void AppendSampled(Sequence sequence, int tokenId, long now)
    {
        if (tokenId < 0)
        {
            Finish(sequence, FinishReason.Error);
            return;
        }

        sequence.Append(tokenId);
        sequence.FirstTokenTimestamp ??= now;
        sequence.LastTokenTimestamp = now;
        FinishReason? reason;
        try
        {
            reason = _observer?.OnToken(sequence, tokenId);
        }
        catch (Exception e)
        {
            Fail(sequence, e);
            return;
        }

        if (reason is null && (sequence.NumOutputTokens >= sequence.MaxTokens || sequence.NumTokens >= _options.MaxModelLen))
            reason = FinishReason.Length;
        if (reason is { } why)
            Finish(sequence, why);
    }

    private void Fail(Sequence sequence, Exception? failure)
    {
        if (sequence.State == SequenceState.Finished)
            return;
        sequence.Failure = failure;
        Finish(sequence, FinishReason.Error);
    }
}
