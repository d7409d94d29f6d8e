using LocalLlm.Execution;
using LocalLlm.KvCache;
using LocalLlm.Scheduling;

namespace LocalLlm.Tests.Scheduling;

/// <summary>A scheduler to be stepped by hand. Sampled tokens are all 7; sequences end only by their limits.</summary>
internal sealed class SchedulerLab
{
    public SchedulerLab(
        int numBlocks = 64,
        int blockSize = 16,
        int maxModelLen = 256,
        int maxNumBatchedTokens = 512,
        SchedulingPolicy policy = SchedulingPolicy.Fcfs,
        Func<SchedulerOptions, SchedulerOptions>? configure = null,
        ISequenceObserver? observer = null)
    {
        Kv = new KvCacheManager(numBlocks, blockSize, hasher: new BlockHasher(1));
        var options = new SchedulerOptions
        {
            MaxModelLen = maxModelLen,
            MaxNumBatchedTokens = maxNumBatchedTokens,
            MaxNumSeqs = int.Min(maxNumBatchedTokens, 256),
            Policy = policy,
        };
        Scheduler = new Scheduler(configure?.Invoke(options) ?? options, Kv, observer, Time);
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

    public void Report(SchedulerOutput output)
    {
        Scheduler.Update(output, Enumerable.Repeat(7, output.Sequences.Count).ToArray());
        Scheduler.CheckIntegrity();
    }
}
