using LocalLlm.Execution;
using Microsoft.Extensions.Logging;

namespace LocalLlm.Scheduling;

/// <summary>Turns updates of sequences into outputs for their callers, and into measurements. The engine loop owns it.</summary>
/// <param name="inbox">Holds the open requests.</param>
/// <param name="metrics">Receives times and counts.</param>
/// <param name="time">The clock of the sequences' timestamps.</param>
/// <param name="logger">Receives the failures that no caller may see.</param>
internal sealed partial class OutputProcessor(EngineInbox inbox, EngineMetrics metrics, TimeProvider time, ILogger logger)
{
    private readonly Dictionary<long, LiveSequence> _live = [];
    private readonly List<LiveSequence> _unsent = [];

    /// <summary>Tokens generated since the start.</summary>
    public long NumGeneratedTokens { get; private set; }

    /// <summary>Adds a request's sequences, which the scheduler has queued.</summary>
    public void Add(LiveRequest request, ReadOnlySpan<Sequence> sequences)
    {
        request.Sequences = new LiveSequence[sequences.Length];
        for (var i = 0; i < sequences.Length; i++)
        {
            request.Sequences[i] = new(request, i, sequences[i]);
            _live.Add(sequences[i].Id, request.Sequences[i]);
        }
    }

    /// <summary>Processes what a step brought one sequence. A failure to create its output ends only that sequence.</summary>
    /// <returns>Why the sequence ends although the scheduler lets it continue (a stop string, a failed output), or null.</returns>
    public FinishReason? Append(in SequenceUpdate update, in SequenceResult result)
    {
        if (!_live.TryGetValue(update.Sequence.Id, out var live))
            return null;
        _unsent.Add(live);
        var numBefore = live.NumOutputTokens;
        try
        {
            if (result.PromptLogprobs is { } logprobs)
                live.SetPromptLogprobs(update.FirstPosition + 1, logprobs);
            live.Append(result.Sampled.Span[..update.NumNewTokens]);
        }
        catch (Exception failure)
        {
            live.End(FinishReason.Error, LiveSequence.OutputFailed(failure));
        }

        Measure(live, live.NumOutputTokens - numBefore);
        if (update.Sequence.FinishReason is { } reason)
            live.End(reason, update.Failure?.ToException());
        if (live.FinishReason is null)
            return null;
        Remove(live);
        return live.FinishReason;
    }

    /// <summary>Ends a sequence for a reason other than its tokens.</summary>
    /// <param name="sequence">The sequence.</param>
    /// <param name="failure">The error for the caller to read; null: only that an error occurred.</param>
    public void End(Sequence sequence, EngineException? failure = null)
    {
        if (!_live.TryGetValue(sequence.Id, out var live))
            return;
        live.End(sequence.FinishReason ?? FinishReason.Error, failure);
        _unsent.Add(live);
        Remove(live);
    }

    /// <summary>Sends everything new to the callers.</summary>
    public void SendAll()
    {
        foreach (var live in _unsent)
        {
            var (isLast, failure) = live.Send();
            if (failure is not null)
                LogSequenceFailed(live.Sequence.Id, failure);
            if (isLast)
                inbox.Complete(live.Request, null);
        }

        _unsent.Clear();
    }

    private void Measure(LiveSequence live, int numTokens)
    {
        NumGeneratedTokens += numTokens;
        var now = live.Sequence.LastTokenTimestamp ?? 0;
        for (var i = 0; i < numTokens && !live.Request.IsProbe; i++)
        {
            if (live.LastTokenTimestamp is { } last)
                metrics.NextToken(time.GetElapsedTime(last, now));
            else
                metrics.FirstToken(time.GetElapsedTime(live.Sequence.ArrivalTimestamp, now), live.Sequence.NumPromptTokens);
            live.LastTokenTimestamp = now;
        }
    }

    private void Remove(LiveSequence live)
    {
        var sequence = live.Sequence;
        _live.Remove(sequence.Id);
        if (live.FinishReason == FinishReason.Error)
            LogSequenceFailed(sequence.Id, live.Failure);
        if (live.Request.IsProbe)
            return;
        if (sequence.FirstScheduledTimestamp is { } scheduled)
            metrics.Queued(time.GetElapsedTime(sequence.ArrivalTimestamp, scheduled));
        metrics.Finished(live.FinishReason!.Value, time.GetElapsedTime(sequence.ArrivalTimestamp));
    }

    [LoggerMessage(3, LogLevel.Warning, "Sequence {SequenceId} ended with an error.")]
    private partial void LogSequenceFailed(long sequenceId, Exception? failure);
}
