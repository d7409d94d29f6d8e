using LocalLlm.Execution;
using LocalLlm.Sampling;

namespace LocalLlm.Tests.Execution;

/// <summary>
/// Behaves like a pipeline that speculates: four steps in flight, and 0 to 3 tokens per sequence and step, all of them the model's own. A
/// step runs when its result is asked for. A decode step that is to bring no token does not run at all. For a step that is to bring several
/// tokens, further steps run while the sequence's last block has room.
/// </summary>
/// <param name="inner">Runs the steps, one after another.</param>
/// <param name="seed">Seeds the random numbers of tokens.</param>
internal sealed class DelayedExecutor(IStepExecutor inner, int seed = 1) : IStepExecutor
{
    private const int MaxTokens = 3;

    private readonly Random _random = new(seed);
    private readonly Queue<SchedulerOutput> _submitted = [];
    private readonly HashSet<long> _withheld = []; // never twice in a row, so that every sequence makes progress
    private readonly Dictionary<long, NewSequence> _sequences = [];
    private readonly List<NewSequence> _started = [];
    private readonly List<long> _finished = [];

    public ExecutorCapabilities Capabilities { get; } = inner.Capabilities with { MaxStepsInFlight = 4, FeedsSampledTokens = false };

    /// <summary>For each number of tokens, how many results had it.</summary>
    public int[] NumResults { get; } = new int[MaxTokens + 1];

    public bool Submit(SchedulerOutput step)
    {
        _submitted.Enqueue(step);
        return true;
    }

    public StepResult Complete()
    {
        var step = _submitted.Dequeue();
        foreach (var id in step.FinishedIds)
            _sequences.Remove(id);
        foreach (var sequence in step.NewSequences)
            _sequences.Add(sequence.Id, sequence);
        _started.AddRange(step.NewSequences);
        _finished.AddRange(step.FinishedIds);
        ScheduledSequence[] run = [.. step.Sequences.Where(entry => !IsWithheld(entry))];
        var result = Run(step, run);
        if (result.Failure is not null)
            return result;
        var tokens = result.Sequences.ToDictionary(entry => entry.SequenceId, entry => entry.Sampled.ToArray().ToList());
        Dictionary<long, SequenceResult> results = result.Sequences.ToDictionary(entry => entry.SequenceId);
        for (var more = Continued(run, tokens); more.Length > 0; more = Continued(more, tokens))
        {
            var further = Run(step, more);
            if (further.Failure is not null)
                return further;
            foreach (var entry in further.Sequences)
                tokens[entry.SequenceId].AddRange(entry.Sampled.ToArray());
        }

        var all = new StepResult { StepId = step.StepId };
        foreach (var entry in step.Sequences)
        {
            var sampled = tokens.TryGetValue(entry.SequenceId, out var list) ? list : [];
            if (entry.SamplesToken)
                NumResults[Math.Min(sampled.Count, MaxTokens)]++;
            all.Sequences.Add(results.GetValueOrDefault(entry.SequenceId, new(entry.SequenceId, default)) with { Sampled = sampled.ToArray() });
        }

        return all;
    }

    public void Dispose() => inner.Dispose();

    private bool IsWithheld(ScheduledSequence entry)
    {
        var may = entry is { SamplesToken: true, NeedsPromptLogits: false, NumDrafts: 0 } && entry.TokenIds.Length == 1 && entry.FirstPosition >= entry.PromptLength;
        if (may && _random.Next(4) == 0 && _withheld.Add(entry.SequenceId))
            return true;
        _withheld.Remove(entry.SequenceId);
        return false;
    }

    // The next position of every sequence that is to bring more tokens and whose block has room for it.
    private ScheduledSequence[] Continued(ScheduledSequence[] run, Dictionary<long, List<SampledToken>> tokens)
    {
        var more = new List<ScheduledSequence>();
        foreach (var entry in run)
        {
            var sampled = tokens[entry.SequenceId];
            var position = entry.FirstPosition + entry.TokenIds.Length;
            var plan = Capabilities.Plan;
            if (!entry.SamplesToken || entry.NumDrafts > 0 || sampled.Count is 0 or MaxTokens || sampled[^1].TokenId < 0 || _random.Next(2) == 0
                || position >= entry.BlockTable.Length * plan.BlockSize || position + 1 >= plan.MaxModelLen || EndsWith(entry.SequenceId, sampled[^1].TokenId))
                continue;
            more.Add(entry with { FirstPosition = position, TokenIds = new[] { sampled[^1].TokenId }, NeedsPromptLogits = false });
        }

        return [.. more];
    }

    // A grammar allows nothing after the end of its text.
    private bool EndsWith(long id, int token) => _sequences[id].Sampling is var sampling && (sampling.EosTokenIds.Contains(token) || sampling.StopTokenIds.Contains(token));

    // Runs some of the step's sequences. The step's first run also carries what started and finished; if nothing is computed, that waits
    // for the next step.
    private StepResult Run(SchedulerOutput step, ScheduledSequence[] entries)
    {
        var result = new StepResult { StepId = step.StepId };
        if (entries.Length == 0)
            return result;
        inner.Submit(new()
        {
            StepId = step.StepId,
            Sequences = [.. entries],
            NewSequences = [.. _started],
            FinishedIds = [.. _finished],
            SamplesOnHost = step.SamplesOnHost,
            NeedsHistory = step.NeedsHistory,
            TotalTokens = entries.Sum(entry => entry.TokenIds.Length),
        });
        _started.Clear();
        _finished.Clear();
        var part = inner.Complete();
        result.Failure = part.Failure;
        result.Sequences.AddRange(part.Sequences.Select(entry => entry with { Sampled = entry.Sampled.ToArray() }));
        return result;
    }
}
