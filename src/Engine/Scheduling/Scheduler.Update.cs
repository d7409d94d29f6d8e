using LocalLlm.Execution;
using LocalLlm.KvCache;
using LocalLlm.Sampling;

namespace LocalLlm.Scheduling;

/// <content>Applies the result of a step.</content>
internal sealed partial class Scheduler
{
    private readonly List<SequenceUpdate> _updates = []; // of the latest call, reused
    private double? _expertBalance; // at the latest step

    /// <summary>
    /// Applies the result of the oldest step in flight: its positions count as computed, its full blocks enter the prefix cache, and its
    /// sampled tokens are appended up to the one that ends the sequence. A sequence that has already ended gets no token. A failed token
    /// or a failure ends its sequence with <see cref="FinishReason.Error"/>.
    /// </summary>
    /// <param name="result">The step's result, without a <see cref="StepResult.Failure"/>.</param>
    /// <returns>One update for each sequence of the result, valid until the next call.</returns>
    /// <exception cref="EngineException">EngineDead: the result is not of the oldest step, or not of its sequences.</exception>
    public IReadOnlyList<SequenceUpdate> Update(StepResult result)
    {
        var step = Peek(result.StepId);
        if (result.Sequences.Count != step.Count)
        {
            throw new EngineException(
                EngineErrorKind.EngineDead, $"step {result.StepId} has {step.Count} sequences but came back with {result.Sequences.Count}");
        }

        _expertBalance = result.ExpertBalance;
        var now = _time.GetTimestamp();
        _updates.Clear();
        for (var i = 0; i < step.Count; i++)
        {
            var entry = result.Sequences[i];
            if (entry.SequenceId != step[i].Id)
            {
                throw new EngineException(
                    EngineErrorKind.EngineDead, $"step {result.StepId} came back with sequence {entry.SequenceId} in the place of {step[i].Id}");
            }

            _updates.Add(UpdateEntry(step, i, entry, now));
        }

        _inFlight.Dequeue();
        Recycle(step);
        return _updates;
    }

    /// <summary>Applies a failure of the oldest step in flight: all of its sequences end with <see cref="FinishReason.Error"/>.</summary>
    /// <param name="stepId">The step's id.</param>
    /// <returns>One update for each sequence that this ended, valid until the next call.</returns>
    /// <exception cref="EngineException">EngineDead: it is not the oldest step.</exception>
    public IReadOnlyList<SequenceUpdate> FailStep(long stepId)
    {
        var step = Peek(stepId);
        _updates.Clear();
        for (var i = 0; i < step.Count; i++)
        {
            EndEntry(step[i], step.Output.Sequences[i], computed: 0);
            if (step[i].State == SequenceState.Finished)
                continue;
            Finish(step[i], FinishReason.Error);
            _updates.Add(UpdateOf(step[i], step.Output.Sequences[i]));
        }

        _inFlight.Dequeue();
        Recycle(step);
        return _updates;
    }

    /// <summary>
    /// Verifies the KV cache and the scheduler's own records. Cheap enough for every idle moment, and for every step of a test.
    /// </summary>
    /// <exception cref="EngineException">Kind EngineDead, with the numbers.</exception>
    public void CheckIntegrity()
    {
        foreach (var group in _groups)
            group.KvCache.CheckIntegrity(group.Running.Concat(_draining.Where(s => s.Group == group)).Select(s => s.Blocks));
        if (_sequences.Count != NumRunning + _waiting.Count + _draining.Count)
        {
            throw KvCacheIntegrity.Broken(
                $"{_sequences.Count} sequences are known but {NumRunning} run, {_waiting.Count} wait and {_draining.Count} drain");
        }

        foreach (var sequence in _waiting.All())
        {
            if (sequence.Blocks.Count + sequence.NumComputedTokens + sequence.NumInFlightSteps != 0)
                throw KvCacheIntegrity.Broken($"waiting sequence {sequence.Id} holds {sequence.Blocks.Count} blocks");
        }

        foreach (var sequence in Running)
        {
            if (sequence.State != SequenceState.Running || sequence.Blocks.Count < sequence.Group!.KvCache.BlocksFor(sequence.NextPosition)
                || sequence.NextPosition > sequence.NumTokensWithSpec + sequence.NumPendingTokens)
            {
                throw KvCacheIntegrity.Broken(
                    $"running sequence {sequence.Id} ({sequence.State}) has {sequence.NextPosition} of " +
                    $"{sequence.NumTokens} tokens in {sequence.Blocks.Count} blocks");
            }
        }

        var entries = _inFlight.Sum(step => step.Count);
        var held = Running.Concat(_draining).Sum(s => s.NumInFlightSteps);
        if (entries != held)
            throw KvCacheIntegrity.Broken($"steps in flight have {entries} entries but the sequences count {held}");
    }

    private StepRecord Peek(long stepId)
    {
        if (_inFlight.TryPeek(out var step) && step.Output.StepId == stepId)
            return step;
        throw new EngineException(
            EngineErrorKind.EngineDead,
            $"step {stepId} was reported, but the oldest of the {_inFlight.Count} steps in flight is {step?.Output.StepId ?? 0}");
    }

    private void Recycle(StepRecord step)
    {
        step.Clear();
        _records.Push(step);
    }

    private SequenceUpdate UpdateEntry(StepRecord step, int index, in SequenceResult result, long now)
    {
        var (sequence, entry) = (step[index], step.Output.Sequences[index]);
        var sampled = result.Sampled.Span;
        if (sampled.Length > 0 && !entry.SamplesToken)
            throw new EngineException(EngineErrorKind.EngineDead, $"sequence {result.SequenceId} has tokens in the result although it samples none in this step");

        // If nothing was sampled, the last position must be computed again for its logits.
        var isRepeated = entry.SamplesToken && sampled.IsEmpty;
        var accepted = NumAccepted(entry.Drafts.Span, sampled);
        if (entry.NumDrafts > 0)
            _drafts?.Add(entry.NumDrafts, accepted);
        EndEntry(sequence, entry, entry.TokenIds.Length - entry.NumDrafts + accepted - (isRepeated ? 1 : 0));
        if (entry.SamplesToken && sampled.Length != 1 && sequence.NumInFlightSteps > 0)
        {
            throw new EngineException(
                EngineErrorKind.EngineDead, $"sequence {sequence.Id} came back with {sampled.Length} tokens, but the next step in flight assumes exactly one");
        }

        if (sequence.State != SequenceState.Running)
            return UpdateOf(sequence, entry);
        if (result.Failure is { } failure)
        {
            Finish(sequence, FinishReason.Error);
            return UpdateOf(sequence, entry, failure: failure);
        }

        for (var i = 0; i < sampled.Length; i++)
        {
            if (sampled[i].TokenId < 0)
            {
                Finish(sequence, FinishReason.Error);
                return UpdateOf(sequence, entry, i, sampled[i].ToFailure());
            }

            sequence.Append(sampled[i].TokenId);
            sequence.FirstTokenTimestamp ??= now;
            sequence.LastTokenTimestamp = now;
            if (EndsWith(sequence, sampled[i].TokenId) is not { } decision)
                continue;
            if (accepted > 0)
                CacheComputed(sequence);
            sequence.StopTokenId = decision.StopTokenId;
            Finish(sequence, decision.Reason);
            return UpdateOf(sequence, entry, i + 1);
        }

        if (accepted > 0)
            CacheComputed(sequence);
        sequence.Drafter?.Offer(result.Drafts.Span, sequence.NumTokens);
        return UpdateOf(sequence, entry, sampled.Length);
    }

    // The number of leading drafts that equal the sampled tokens. The last sampled token has never been computed, so it does not count.
    private static int NumAccepted(ReadOnlySpan<int> drafts, ReadOnlySpan<SampledToken> sampled)
    {
        var accepted = 0;
        while (accepted < drafts.Length && accepted < sampled.Length - 1 && sampled[accepted].TokenId == drafts[accepted])
            accepted++;
        return accepted;
    }

    // Removes the step's hold on the sequence; `computed` of its positions count as computed.
    private void EndEntry(Sequence sequence, in ScheduledSequence entry, int computed)
    {
        sequence.NumInFlightSteps--;
        sequence.NumInFlightTokens -= entry.TokenIds.Length;
        if (entry.NumDrafts > 0)
            sequence.SetDrafts([]);
        sequence.NumPendingTokens -= entry.SamplesToken ? 1 : 0;
        sequence.NumComputedTokens += computed;
        if (computed > 0)
        {
            if (entry.NeedsPromptLogits)
                sequence.NumPromptLogitsComputed = int.Max(sequence.NumPromptLogitsComputed, sequence.NumComputedTokens);
            if (sequence.FinishReason != FinishReason.Error)
                CacheComputed(sequence);
        }

        if (sequence.State == SequenceState.Finished && sequence.NumInFlightSteps == 0)
        {
            _draining.Remove(sequence);
            Release(sequence);
        }
    }

    // Only blocks of known tokens are cached. A sequence that ended before its last token was known has computed a position for a token
    // that does not exist or is bad, and accepted drafts count as computed before they are appended as tokens.
    private static void CacheComputed(Sequence sequence) =>
        sequence.Group!.KvCache.CacheBlocks(sequence.Blocks, sequence.TokenIds, int.Min(sequence.NumComputedTokens, sequence.NumTokens));

    private static SequenceUpdate UpdateOf(Sequence sequence, in ScheduledSequence entry, int numNewTokens = 0, SequenceFailure? failure = null) =>
        new(sequence, entry.FirstPosition, entry.TokenIds.Length, numNewTokens, failure);

    private StopDecision? EndsWith(Sequence sequence, int tokenId)
    {
        if (sequence.Sampling is { } sampling)
            return StopChecker.Check(sampling, tokenId, sequence.NumOutputTokens, sequence.NumPromptTokens, _options.MaxModelLen);
        return sequence.NumOutputTokens >= sequence.MaxTokens || sequence.NumTokens >= _options.MaxModelLen ? new(FinishReason.Length, null) : null;
    }
}
