using LocalLlm.Scheduling;
using Xunit;

namespace LocalLlm.Tests.Scheduling;

public class PreemptionTests
{
    public static IEnumerable<TheoryDataRow<int, bool, bool>> Chunks =>
        from chunk in new[] { 1, 7, 64, 0 }
        from reserve in new[] { true, false }
        from caching in new[] { true, false }
        select new TheoryDataRow<int, bool, bool>(chunk, reserve, caching);

    [Theory]
    [MemberData(nameof(Chunks))]
    public void With_a_quarter_of_the_blocks_all_finish_with_their_own_outputs(int chunk, bool reserve, bool prefixCaching)
    {
        var sequences = Workload.Random(seed: 5, count: 200, maxPrompt: 24, maxOutput: 230, vocabulary: 50).ToList();
        var demand = sequences.Sum(s => (s.NumPromptTokens + s.MaxTokens + 15) / 16);
        var simulation = new Simulation(
            new SimulationSetup
            {
                Options = new SchedulerOptions
                {
                    MaxModelLen = 256,
                    MaxNumBatchedTokens = 512,
                    LongPrefillTokenThreshold = chunk,
                    ReserveFullPrompt = reserve,
                    AdmissionWatermark = reserve ? 0.01 : 0,
                },
                NumBlocks = demand / 4,
                Vocabulary = 50,
                PrefixCaching = prefixCaching,
            },
            seed: 1);

        simulation.Run(sequences);

        Assert.InRange(simulation.Scheduler.Stats.NumPreemptions, 100, 1000);
        // Recomputing costs something, but neither work nor steps may blow up.
        var needed = sequences.Sum(s => s.NumTokens - 1);
        Assert.InRange(simulation.Model.ComputedTokens, needed / 2, needed * 3L / 2);
        Assert.InRange(simulation.NumSteps, 1, 600);
    }

    [Fact]
    public void The_last_admitted_loses_its_blocks_and_stands_first_in_the_queue_with_its_output_kept()
    {
        var lab = new SchedulerLab(numBlocks: 4, blockSize: 4, maxModelLen: 16);
        Sequence a = lab.Add(1, prompt: 4, maxTokens: 12), b = lab.Add(2, prompt: 4, maxTokens: 12), c = lab.Add(3, prompt: 1);
        lab.Step(); // a and b have a block each, c waits for none
        lab.Scheduler.Abort(3);
        for (var i = 0; i < 4; i++)
            lab.Step(); // both fill their second block: all 4 blocks are held
        Assert.Equal((0, 9, 9), (lab.Kv.NumFreeBlocks, a.NumTokens, b.NumTokens));
        var late = lab.Add(4, prompt: 4);

        var output = lab.Step();

        Assert.Equal([1], output.Select(s => s.SequenceId));
        Assert.Equal((SequenceState.Preempted, 1, 0, 5), (b.State, b.NumPreemptions, b.NumComputedTokens, b.NumOutputTokens));
        Assert.Equal(1, lab.Kv.NumFreeBlocks);
        Assert.Equal([2], lab.PreemptedIds);
        lab.Scheduler.Abort(1);
        output = lab.Step();
        Assert.Equal([2, 4], output.Select(s => s.SequenceId));
        Assert.Equal(FinishReason.Abort, c.FinishReason);
        Assert.Equal(SequenceState.Running, late.State);
    }

    [Fact]
    public void A_preempted_sequence_finds_what_is_left_of_its_blocks_in_the_prefix_cache()
    {
        var lab = new SchedulerLab(numBlocks: 5, blockSize: 4, maxModelLen: 20);
        lab.Add(1, prompt: 4);
        var b = lab.Add(2, prompt: 9);
        for (var i = 0; i < 5 && b.State != SequenceState.Preempted; i++)
            lab.Step();
        Assert.Equal(SequenceState.Preempted, b.State);
        lab.Scheduler.Abort(1);

        var output = lab.Step();

        Assert.Equal((12, 13), (output.Single().FirstPosition, b.NumTokens - 1));
        // Only its first admission counts as a query, and only then are tokens reported as cached.
        Assert.Equal(0, b.NumCachedTokens);
        Assert.Equal((13, 0), (lab.Scheduler.Stats.PrefixCacheQueries, lab.Scheduler.Stats.PrefixCacheHits));
    }

    [Fact]
    public void No_sequence_is_admitted_in_a_step_that_preempted()
    {
        var lab = new SchedulerLab(numBlocks: 4, blockSize: 4, maxModelLen: 16);
        lab.Add(1, prompt: 4);
        lab.Add(2, prompt: 8);
        lab.Step();
        lab.Add(3, prompt: 1);
        var steps = new List<long[]>();
        while (lab.PreemptedIds.Count == 0)
            steps.Add([.. lab.Step().Select(s => s.SequenceId)]);
        Assert.DoesNotContain(3L, steps[^1]);
    }

    [Fact]
    public void Under_the_priority_policy_the_least_urgent_gives_way_even_if_it_was_scheduled_already()
    {
        var lab = new SchedulerLab(numBlocks: 4, blockSize: 4, maxModelLen: 16, policy: SchedulingPolicy.Priority);
        var lazy = lab.Add(1, prompt: 4, priority: 5);
        lab.Step();
        var urgent = lab.Add(2, prompt: 8, priority: -1);
        lab.Step(); // lazy: 2 blocks, urgent: 2 blocks
        Assert.Equal(0, lab.Kv.NumFreeBlocks);

        var output = lab.Step();

        Assert.Equal([2], output.Select(s => s.SequenceId));
        Assert.Equal(1, output.Sum(s => s.TokenIds.Length));
        Assert.Equal((SequenceState.Preempted, SequenceState.Running), (lazy.State, urgent.State));
    }

    [Fact]
    public void A_sequence_in_flight_is_not_preempted_before_its_step_came_back()
    {
        var lab = new SchedulerLab(numBlocks: 4, blockSize: 4, maxModelLen: 16);
        Sequence a = lab.Add(1, prompt: 4), b = lab.Add(2, prompt: 8);
        lab.Step();
        lab.Step();
        lab.Step();
        lab.Step(); // a: 8 tokens, b: 12 tokens
        var first = lab.Scheduler.Schedule();
        var blocksOfB = b.Blocks.Blocks.ToArray();
        Assert.Empty(lab.Scheduler.Schedule().Sequences);
        Assert.Equal(blocksOfB, b.Blocks.Blocks.ToArray());
        lab.Report(first);
        while (b.State == SequenceState.Running)
            lab.Step();
        Assert.Equal((SequenceState.Preempted, SequenceState.Running), (b.State, a.State));
    }

    [Fact]
    public void With_steps_in_flight_a_less_urgent_one_stalls_rather_than_push_out_a_more_urgent_one()
    {
        var lab = new SchedulerLab(
            numBlocks: 4,
            blockSize: 4,
            maxModelLen: 20,
            policy: SchedulingPolicy.Priority,
            configure: o => o with { LongPrefillTokenThreshold = 4, ReserveFullPrompt = false });
        var lazy = lab.Add(1, prompt: 13, maxTokens: 3, priority: 5);
        var first = lab.Scheduler.Schedule();
        var urgent = lab.Add(2, prompt: 4, maxTokens: 4, priority: 0);
        var second = lab.Scheduler.Schedule();
        lab.Report(first);
        var third = lab.Scheduler.Schedule(); // lazy has 3 blocks and is in flight, urgent has 1 and waits for its token
        lab.Report(second);
        Assert.Equal(0, lab.Kv.NumFreeBlocks);

        Assert.Empty(lab.Scheduler.Schedule().Sequences);
        Assert.Equal((0, 0), (lazy.NumPreemptions, urgent.NumPreemptions));
        lab.Report(third);
        Assert.Equal([2], lab.Step().Select(s => s.SequenceId));
        Assert.Equal((1, 0), (lazy.NumPreemptions, urgent.NumPreemptions));
        while (lab.Scheduler.HasUnfinished)
            lab.Step();
        Assert.Equal((FinishReason.Length, FinishReason.Length), (lazy.FinishReason, urgent.FinishReason));
    }
}
