using LocalLlm.Execution;

namespace LocalLlm.Tests.Execution;

/// <summary>
/// Behaves like a GPU: the engine submits the next step before the tokens of this one are known, and the executor feeds them to it. A step
/// runs when its result is asked for; the tokens of the step before are known by then.
/// </summary>
/// <param name="inner">Runs the steps, one after another.</param>
internal sealed class AheadExecutor(IStepExecutor inner) : IStepExecutor
{
    private readonly Queue<SchedulerOutput> _submitted = [];
    private readonly Dictionary<long, int> _sampled = []; // of the step completed last

    public ExecutorCapabilities Capabilities { get; } = inner.Capabilities with { MaxStepsInFlight = 2, FeedsSampledTokens = true };

    /// <summary>Number of tokens that were fed before the engine knew them.</summary>
    public int NumFedTokens { get; private set; }

    public bool Submit(SchedulerOutput step)
    {
        _submitted.Enqueue(step);
        return true;
    }

    public StepResult Complete()
    {
        var step = _submitted.Dequeue();
        var fed = new SchedulerOutput
        {
            StepId = step.StepId,
            NewSequences = step.NewSequences,
            Sequences = [.. step.Sequences.Select(Feed)],
            FinishedIds = step.FinishedIds,
            TotalTokens = step.TotalTokens,
            SamplesOnHost = step.SamplesOnHost,
            NeedsHistory = step.NeedsHistory,
        };
        inner.Submit(fed);
        var result = inner.Complete();
        _sampled.Clear();
        foreach (var entry in result.Sequences)
        {
            if (entry.Sampled.Length == 1)
                _sampled[entry.SequenceId] = Math.Max(0, entry.Sampled.Span[0].TokenId);
        }

        return result;
    }

    public void Dispose() => inner.Dispose();

    private ScheduledSequence Feed(ScheduledSequence entry)
    {
        if (entry.TokenIds.Span[0] != ScheduledSequence.UnknownToken)
            return entry;
        NumFedTokens++;
        return entry with { TokenIds = new[] { _sampled[entry.SequenceId] } };
    }
}
