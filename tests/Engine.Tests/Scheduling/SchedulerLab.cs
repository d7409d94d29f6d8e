using LocalLlm.Execution;
using LocalLlm.KvCache;
using LocalLlm.Sampling;
using LocalLlm.Scheduling;

namespace LocalLlm.Tests.Scheduling;

/// <summary>A scheduler that a test steps by hand. Sampled tokens are all 7; sequences end only by their limits.</summary>
internal sealed class SchedulerLab
{
    public SchedulerLab(
        int numBlocks = 64,
        int blockSize = 16,
        int maxModelLen = 256,
        int maxNumBatchedTokens = 512,
        SchedulingPolicy policy = SchedulingPolicy.Fcfs,
        Func<SchedulerOptions, SchedulerOptions>? configure = null)
    {
        Kv = new KvCacheManager(numBlocks, blockSize, hasher: new BlockHasher(1));
        var options = new SchedulerOptions
        {
            MaxModelLen = maxModelLen,
            MaxNumBatchedTokens = maxNumBatchedTokens,
            MaxNumSeqs = int.Min(maxNumBatchedTokens, 256),
            Policy = policy,
        };
        Scheduler = new Scheduler(configure?.Invoke(options) ?? options, Kv, Time);
    }

    public ManualTime Time { get; } = new();

    public KvCacheManager Kv { get; }

    public Scheduler Scheduler { get; }

    /// <summary>Preempted ids of the latest step.</summary>
    public IReadOnlyList<long> PreemptedIds { get; private set; } = [];

    /// <summary>Finished ids of the latest step.</summary>
    public IReadOnlyList<long> FinishedIds { get; private set; } = [];

    /// <summary>Adds a sequence whose prompt is unlike any other id's.</summary>
    public Sequence Add(long id, int prompt, int maxTokens = 1000, int priority = 0, string? salt = null, bool promptLogits = false) =>
        Add(new Sequence(id, Prompt(id, prompt), maxTokens, salt) { Priority = priority, NeedsPromptLogits = promptLogits });

    public Sequence Add(Sequence sequence)
    {
        Scheduler.Add(sequence);
        return sequence;
    }

    public static int[] Prompt(long id, int length) => [.. Enumerable.Range(0, length).Select(i => (int)(id * 1000) + i)];

    /// <summary>Schedules a step and reports it back; returns a copy of what was in it.</summary>
    public ScheduledSequence[] Step()
    {
        var output = Scheduler.Schedule();
        ScheduledSequence[] entries = [.. output.Sequences];
        PreemptedIds = [.. output.PreemptedIds];
        FinishedIds = [.. output.FinishedIds];
        Report(output);
        return entries;
    }

    /// <summary>Reports a step back, with a 7 for every sequence that samples.</summary>
    public SequenceUpdate[] Report(SchedulerOutput output) => Report(output, Enumerable.Repeat(7, output.Sequences.Count).ToArray());

    /// <summary>Reports a step back, with a token for every sequence; a token below 0 means that none could be chosen.</summary>
    public SequenceUpdate[] Report(SchedulerOutput output, params int[] tokens) =>
        Report(output, [.. tokens.Select((token, i) => output.Sequences[i].SamplesToken ? new[] { token } : [])]);

    /// <summary>Reports a step back, with any number of tokens for every sequence. Nothing happens for an empty step.</summary>
    public SequenceUpdate[] Report(SchedulerOutput output, int[][] tokens)
    {
        if (output.IsEmpty)
            return [];
        SequenceUpdate[] updates = [.. Scheduler.Update(Result(output, tokens))];
        Scheduler.CheckIntegrity();
        return updates;
    }

    /// <summary>The result of a step.</summary>
    public static StepResult Result(SchedulerOutput output, int[][] tokens)
    {
        var result = new StepResult { StepId = output.StepId };
        for (var i = 0; i < tokens.Length; i++)
            result.Sequences.Add(new(output.Sequences[i].SequenceId, tokens[i].Select(Token).ToArray()));
        return result;
    }

    private static SampledToken Token(int id) => id < 0 ? SampledToken.Failed(SampleError.NonFiniteLogits) : new(id);
}
