using LocalLlm.Execution;
using LocalLlm.Sampling;
using LocalLlm.Scheduling;
using Xunit;

namespace LocalLlm.Tests.Scheduling;

public class SchedulerTests
{
    [Fact]
    public void A_prompt_is_computed_in_chunks_of_the_budget_and_samples_only_at_its_end()
    {
        var lab = new SchedulerLab(maxNumBatchedTokens: 10);
        lab.Add(1, prompt: 25);

        Assert.Equal([(0, 10, false)], Shape(lab.Step()));
        Assert.Equal([(10, 10, false)], Shape(lab.Step()));
        Assert.Equal([(20, 5, true)], Shape(lab.Step()));
        Assert.Equal([(25, 1, true)], Shape(lab.Step()));
    }

    [Fact]
    public void An_entry_carries_exactly_its_tokens_and_the_blocks_up_to_its_last()
    {
        var lab = new SchedulerLab(blockSize: 4, maxNumBatchedTokens: 6);
        var sequence = lab.Add(1, prompt: 9);
        lab.Step();
        var entry = lab.Step().Single();
        Assert.Equal(LabPrompt(1, 9)[6..], entry.TokenIds.ToArray());
        Assert.Equal(sequence.Blocks.Blocks.ToArray(), entry.BlockTable.ToArray());
        Assert.Equal(3, entry.BlockTable.Length);
        Assert.Equal([7], lab.Step().Single().TokenIds.ToArray());
    }

    [Fact]
    public void Running_sequences_get_their_token_before_new_prompts_get_the_rest()
    {
        var lab = new SchedulerLab(maxNumBatchedTokens: 10);
        lab.Add(1, prompt: 3);
        lab.Add(2, prompt: 3);
        lab.Step();
        lab.Add(3, prompt: 50);
        Assert.Equal([(3, 1, true), (3, 1, true), (0, 8, false)], Shape(lab.Step()));
        Assert.Equal([(4, 1, true), (4, 1, true), (8, 8, false)], Shape(lab.Step()));
    }

    [Fact]
    public void The_threshold_keeps_a_long_prompt_from_taking_the_whole_budget()
    {
        var lab = new SchedulerLab(maxNumBatchedTokens: 32, configure: o => o with { LongPrefillTokenThreshold = 8 });
        lab.Add(1, prompt: 100);
        lab.Add(2, prompt: 20);
        lab.Add(3, prompt: 5);
        Assert.Equal([(0, 8, false), (0, 8, false), (0, 5, true)], Shape(lab.Step()));
        Assert.Equal([(8, 8, false), (8, 8, false), (5, 1, true)], Shape(lab.Step()));
    }

    [Fact]
    public void Without_chunked_prefill_a_prompt_waits_until_it_fits_whole_and_is_not_overtaken()
    {
        var lab = new SchedulerLab(maxModelLen: 64, maxNumBatchedTokens: 64, configure: o => o with { EnableChunkedPrefill = false });
        lab.Add(1, prompt: 30);
        lab.Add(2, prompt: 40);
        lab.Add(3, prompt: 4);
        Assert.Equal([(0, 30, true)], Shape(lab.Step()));
        Assert.Equal([(30, 1, true), (0, 40, true), (0, 4, true)], Shape(lab.Step()));
    }

    [Fact]
    public void No_more_than_max_num_seqs_run_at_a_time()
    {
        var lab = new SchedulerLab(configure: o => o with { MaxNumSeqs = 2 });
        lab.Add(1, prompt: 4, maxTokens: 2);
        lab.Add(2, prompt: 4, maxTokens: 3);
        lab.Add(3, prompt: 4, maxTokens: 1);
        Assert.Equal([1, 2], Ids(lab.Step()));
        Assert.Equal([1, 2], Ids(lab.Step()));
        Assert.Equal([2, 3], Ids(lab.Step()));
        Assert.Empty(lab.Step());
        Assert.Equal(64, lab.Kv.NumFreeBlocks);
    }

    [Fact]
    public void Under_the_priority_policy_lower_goes_first_then_arrival()
    {
        var lab = new SchedulerLab(policy: SchedulingPolicy.Priority);
        lab.Add(1, prompt: 4, priority: 1);
        lab.Add(2, prompt: 4, priority: 0);
        lab.Add(3, prompt: 4, priority: -7);
        lab.Add(4, prompt: 4, priority: 0);
        Assert.Equal([3, 2, 4, 1], Ids(lab.Step()));
    }

    [Fact]
    public void Arrival_alone_decides_under_first_come_first_served()
    {
        var lab = new SchedulerLab();
        lab.Add(9, prompt: 4, priority: 1);
        lab.Add(2, prompt: 4, priority: -1);
        Assert.Equal([9, 2], Ids(lab.Step()));
    }

    [Fact]
    public void The_same_prompt_hits_after_a_step_and_not_within_it()
    {
        var lab = new SchedulerLab();
        var prompt = LabPrompt(1, 40);
        lab.Add(new Sequence(1, prompt, 10));
        lab.Add(new Sequence(2, prompt, 10));
        Assert.Equal([(0, 40, true), (0, 40, true)], Shape(lab.Step()));
        var third = lab.Add(new Sequence(3, prompt, 10));
        var salted = lab.Add(new Sequence(4, prompt, 10, "other tenant"));
        var skipping = lab.Add(new Sequence(5, prompt, 10) { SkipReadingPrefixCache = true });
        Assert.Equal([(32, 8, true), (0, 40, true), (0, 40, true)], Shape(lab.Step())[2..]);
        Assert.Equal((32, 0, 0), (third.NumCachedTokens, salted.NumCachedTokens, skipping.NumCachedTokens));
        Assert.Equal((160, 32), (lab.Scheduler.Stats.PrefixCacheQueries, lab.Scheduler.Stats.PrefixCacheHits));
    }

    [Fact]
    public void Prompt_logits_are_computed_for_every_prompt_position_and_then_no_more()
    {
        var lab = new SchedulerLab(maxNumBatchedTokens: 16);
        var prompt = LabPrompt(1, 40);
        lab.Add(new Sequence(1, prompt, 1));
        while (lab.Scheduler.HasUnfinished)
            lab.Step();
        lab.Add(new Sequence(2, prompt, 3) { NeedsPromptLogits = true });
        var steps = Enumerable.Range(0, 4).Select(_ => lab.Step().Single()).ToArray();
        Assert.Equal([0, 16, 32, 40], steps.Select(s => s.FirstPosition));
        Assert.Equal([true, true, true, false], steps.Select(s => s.NeedsPromptLogits));
    }

    [Fact]
    public void A_new_prompt_must_fit_whole_beside_what_is_promised_to_the_prompts_before_it()
    {
        var lab = new SchedulerLab(
            numBlocks: 10,
            blockSize: 4,
            maxModelLen: 40,
            maxNumBatchedTokens: 8,
            configure: o => o with { LongPrefillTokenThreshold = 4 });
        lab.Add(1, prompt: 24);
        lab.Add(2, prompt: 20); // 6 + 5 blocks > 10, though its first chunk would fit
        Assert.Equal([1], Ids(lab.Step()));
        var hasty = new SchedulerLab(
            numBlocks: 10,
            blockSize: 4,
            maxModelLen: 40,
            maxNumBatchedTokens: 8,
            configure: o => o with { LongPrefillTokenThreshold = 4, ReserveFullPrompt = false });
        hasty.Add(1, prompt: 24);
        hasty.Add(2, prompt: 20);
        Assert.Equal([1, 2], Ids(hasty.Step()));
    }

    [Fact]
    public void The_watermark_stays_free_unless_nothing_runs()
    {
        var lab = new SchedulerLab(numBlocks: 10, blockSize: 4, maxModelLen: 40, configure: o => o with { AdmissionWatermark = 0.5 });
        lab.Add(1, prompt: 24);
        lab.Add(2, prompt: 4);
        Assert.Equal([1], Ids(lab.Step()));
        lab.Scheduler.Abort(1);
        Assert.Equal([2], Ids(lab.Step()));
    }

    [Fact]
    public void Short_requests_keep_finishing_while_one_hoards_its_whole_context()
    {
        var lab = new SchedulerLab(numBlocks: 80, maxModelLen: 1024);
        var hoarder = lab.Add(1, prompt: 8, maxTokens: int.MaxValue);
        lab.Step();
        var arrivals = new Dictionary<long, int>();
        var waits = new List<int>();
        for (var step = 0; hoarder.State != SequenceState.Finished; step++)
        {
            var id = 2 + step;
            var quick = lab.Add(id, prompt: 20, maxTokens: 1);
            arrivals[id] = step;
            lab.Step();
            waits.Add(quick.State == SequenceState.Finished ? 0 : 1);
        }

        // Every quick sequence took one step, and the hoarder was not held up either.
        Assert.All(waits, wait => Assert.Equal(0, wait));
        Assert.Equal((1016, 0), (hoarder.NumOutputTokens, hoarder.NumPreemptions));
    }

    [Fact]
    public void Sixty_four_hoarders_do_not_keep_short_requests_waiting()
    {
        var lab = new SchedulerLab(numBlocks: 4096, maxModelLen: 1024);
        for (var id = 1; id <= 64; id++)
            lab.Add(id, prompt: 8, maxTokens: int.MaxValue);
        lab.Step();
        for (var step = 0; step < 900; step++)
        {
            var quick = lab.Add(100 + step, prompt: 20, maxTokens: 1);
            lab.Step();
            Assert.Equal(SequenceState.Finished, quick.State);
        }
    }

    [Fact]
    public void Times_come_from_the_clock_given()
    {
        var lab = new SchedulerLab(maxNumBatchedTokens: 10);
        lab.Time.Advance(5);
        var sequence = lab.Add(1, prompt: 15, maxTokens: 2);
        Assert.Null(sequence.FirstScheduledTimestamp);
        for (var i = 0; i < 3; i++)
        {
            lab.Time.Advance(10);
            lab.Step();
        }

        Assert.Equal(5, sequence.ArrivalTimestamp);
        Assert.Equal(
            (15, 25, 35, 35),
            (sequence.FirstScheduledTimestamp, sequence.FirstTokenTimestamp, sequence.LastTokenTimestamp, sequence.FinishedTimestamp));
    }

    [Fact]
    public void Ends_are_announced_once_with_the_next_step()
    {
        var lab = new SchedulerLab();
        lab.Add(1, prompt: 4, maxTokens: 1);
        lab.Add(2, prompt: 4);
        lab.Step();
        lab.Add(3, prompt: 4);
        lab.Scheduler.Abort(3); // never ran: no executor has to forget it
        lab.Step();
        Assert.Equal([1], lab.FinishedIds);
        lab.Step();
        Assert.Empty(lab.FinishedIds);
    }

    [Fact]
    public void The_figures_add_up()
    {
        var lab = new SchedulerLab(numBlocks: 8, maxModelLen: 128, configure: o => o with { MaxNumSeqs = 1 });
        lab.Add(1, prompt: 20);
        lab.Add(2, prompt: 20);
        lab.Step();
        Assert.Equal(new SchedulerStats(1, 1, 0.25, 0, 20, 0, null, null), lab.Scheduler.Stats);
    }

    [Fact]
    public void Decoding_allocates_no_memory_but_for_the_tokens_themselves()
    {
        var lab = new SchedulerLab(numBlocks: 1024, maxModelLen: 512, maxNumBatchedTokens: 1024);
        for (var id = 1; id <= 32; id++)
            lab.Add(id, prompt: 30);
        ReadOnlyMemory<SampledToken> sampled = new SampledToken[] { new(7) };
        var result = new StepResult();
        for (var i = 0; i < 50; i++)
            Step();
        var before = GC.GetAllocatedBytesForCurrentThread();
        const int steps = 200;
        for (var i = 0; i < steps; i++)
            Step();
        var perStep = (GC.GetAllocatedBytesForCurrentThread() - before) / steps;
        Assert.InRange(perStep, 0, 32 * 40); // growing arrays of tokens, block ids and hashes, amortised

        void Step()
        {
            var output = lab.Scheduler.Schedule();
            result.StepId = output.StepId;
            result.Sequences.Clear();
            for (var i = 0; i < output.Sequences.Count; i++)
                result.Sequences.Add(new(output.Sequences[i].SequenceId, sampled));
            lab.Scheduler.Update(result);
        }
    }

    private static int[] LabPrompt(long id, int length) => SchedulerLab.Prompt(id, length);

    private static (int First, int Count, bool Samples)[] Shape(ScheduledSequence[] step) =>
        [.. step.Select(s => (s.FirstPosition, s.TokenIds.Length, s.SamplesToken))];

    private static long[] Ids(ScheduledSequence[] step) => [.. step.Select(s => s.SequenceId)];
}
