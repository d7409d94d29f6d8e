using LocalLlm.Execution;
using LocalLlm.Scheduling;
using LocalLlm.Tests.Sampling;
using Xunit;

namespace LocalLlm.Tests.Scheduling;

/// <summary>A step may hold drafts of a sequence. The lab's model always generates token 7.</summary>
public class DraftTests
{
    [Fact]
    public void A_decoding_sequence_is_scheduled_with_its_drafts()
    {
        var lab = Lab([7, 7, 7]);
        var sequence = lab.Add(1, prompt: 20);
        Assert.Equal(0, Assert.Single(lab.Step()).NumDrafts); // the prompt
        var entry = Entry(lab);
        Assert.Equal((20, 3, true), (entry.FirstPosition, entry.NumDrafts, entry.SamplesToken));
        Assert.Equal([7, 7, 7, 7], entry.TokenIds.ToArray());
        Assert.Equal((3, 24), (sequence.NumDrafts, sequence.NumTokensWithSpec));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(2)]
    [InlineData(3)]
    public void Accepted_drafts_count_as_computed_and_the_others_are_computed_over(int accepted)
    {
        var lab = Lab([7, 7, 7]);
        var sequence = lab.Add(1, prompt: 20);
        lab.Step();
        var output = lab.Scheduler.Schedule();
        int[] sampled = accepted < 3 ? [.. Enumerable.Repeat(7, accepted), 8] : [7, 7, 7, 7];
        var update = Assert.Single(lab.Report(output, [sampled]));
        Assert.Equal((accepted + 1, 4, 20), (update.NumNewTokens, update.NumScheduledTokens, update.FirstPosition));
        Assert.Equal((21 + accepted, 22 + accepted, 0), (sequence.NumComputedTokens, sequence.NumTokens, sequence.NumDrafts));
        var next = Entry(lab);
        Assert.Equal((21 + accepted, accepted < 3 ? 8 : 7), (next.FirstPosition, next.TokenIds.Span[0]));
        var statistics = lab.Scheduler.Stats.Speculation!;
        Assert.Equal((1, 3, accepted), (statistics.Drafts, statistics.DraftTokens, statistics.AcceptedTokens));
        Assert.Equal([accepted > 0 ? 1 : 0, accepted > 1 ? 1 : 0, accepted > 2 ? 1 : 0], statistics.AcceptedTokensPerPosition);
        Assert.Equal((accepted / 3.0, accepted + 1.0), (statistics.AcceptanceRate, statistics.MeanAcceptanceLength));
    }

    [Theory]
    [InlineData(2, 0)] // one token is left
    [InlineData(3, 1)]
    [InlineData(4, 2)]
    [InlineData(5, 3)]
    [InlineData(99, 3)]
    public void Nothing_is_drafted_past_max_tokens(int maxTokens, int expected)
    {
        var lab = Lab([7, 7, 7]);
        lab.Add(1, prompt: 20, maxTokens: maxTokens);
        lab.Step();
        Assert.Equal(expected, Entry(lab).NumDrafts);
    }

    [Theory]
    [InlineData(22, 0)]
    [InlineData(23, 1)]
    [InlineData(26, 3)]
    public void Nothing_is_drafted_past_the_context(int maxModelLen, int expected)
    {
        var lab = Lab([7, 7, 7], maxModelLen: maxModelLen);
        lab.Add(1, prompt: 20);
        lab.Step();
        Assert.Equal(expected, Entry(lab).NumDrafts);
    }

    [Fact]
    public void Drafts_leave_every_other_sequence_its_token()
    {
        var lab = Lab([7, 7, 7], maxNumBatchedTokens: 6);
        Sequence[] sequences = [.. Enumerable.Range(1, 4).Select(id => lab.Add(id, prompt: 3))];
        while (sequences.Any(sequence => sequence.NumOutputTokens == 0))
            lab.Step();
        var entries = lab.Step();
        Assert.Equal(4, entries.Length);
        Assert.Equal((6, 2), (entries.Sum(entry => entry.TokenIds.Length), entries.Sum(entry => entry.NumDrafts)));
    }

    [Fact]
    public void All_sequences_of_a_step_share_its_drafts()
    {
        var lab = new SchedulerLab(configure: options => options with { MaxDrafts = 3, MaxDraftsOfStep = 4, CreateDrafter = () => new GivenDrafter(() => [7, 7, 7]) });
        for (var id = 1; id <= 3; id++)
            lab.Add(id, prompt: 3);
        lab.Step();
        Assert.Equal([3, 1, 0], lab.Step().Select(entry => entry.NumDrafts));
    }

    [Fact]
    public void A_prompt_that_waits_goes_before_drafts()
    {
        var lab = Lab([7, 7, 7], maxNumBatchedTokens: 6);
        lab.Add(1, prompt: 3);
        lab.Step();
        lab.Add(2, prompt: 4);
        var entries = lab.Step();
        Assert.Equal([(2, 1), (4, 0)], entries.Select(entry => (entry.TokenIds.Length, entry.NumDrafts)));
    }

    [Fact]
    public void Drafts_take_free_blocks_and_preempt_no_sequence()
    {
        // Two blocks: each sequence has one, with room for one more token.
        var lab = Lab([7, 7, 7], numBlocks: 2, maxModelLen: 16);
        lab.Add(1, prompt: 13);
        lab.Add(2, prompt: 13);
        lab.Step();
        Assert.Equal([1, 1], lab.Step().Select(entry => entry.NumDrafts));
        Assert.Empty(lab.PreemptedIds);

        var tight = Lab([7, 7, 7], numBlocks: 3, maxModelLen: 32);
        tight.Add(1, prompt: 14);
        tight.Add(2, prompt: 14);
        tight.Step();
        Assert.Equal([1, 1], tight.Step().Select(entry => entry.NumDrafts)); // a third block is free, but each may need it
        Assert.Equal(1, tight.Kv.NumFreeBlocks);
    }

    [Fact]
    public void Drafts_leave_each_running_sequence_the_block_that_it_may_need_next()
    {
        var lab = new SchedulerLab(
            numBlocks: 5, blockSize: 12, maxModelLen: 60, configure: options => options with { MaxDrafts = 32, CreateDrafter = () => new GivenDrafter(() => [.. Enumerable.Repeat(8, 32)]) });
        Sequence[] sequences = [lab.Add(1, prompt: 11), lab.Add(2, prompt: 11)];
        lab.Step();
        Assert.Equal(3, lab.Kv.NumFreeBlocks);
        Assert.Equal([12, 0], lab.Step().Select(entry => entry.NumDrafts)); // one block more, where 32 drafts would take all three
        Assert.Equal(2, lab.Kv.NumFreeBlocks);
        while (sequences[0].NumTokens < 24)
        {
            Assert.Equal(2, lab.Step().Length);
            Assert.Empty(lab.PreemptedIds);
        }
    }

    [Fact]
    public void A_preempted_sequence_leaves_its_drafts()
    {
        var lab = Lab([7, 7, 7], numBlocks: 4, blockSize: 4, maxModelLen: 16);
        var first = lab.Add(1, prompt: 6);
        var second = lab.Add(2, prompt: 6);
        for (var i = 0; i < 12 && second.NumPreemptions == 0; i++)
            lab.Step();
        Assert.Equal((1, 0, 0), (second.NumPreemptions, second.NumDrafts, second.Blocks.Count));
        while (lab.Scheduler.HasUnfinished)
            lab.Step();
        Assert.Equal(first.OutputTokenIds.ToArray(), second.OutputTokenIds.ToArray());
        Assert.Equal(4, lab.Kv.NumFreeBlocks);
    }

    [Fact]
    public void A_stop_token_among_accepted_drafts_is_the_last_token()
    {
        var lab = Lab([7, 8, 7]);
        var sampling = SamplingKit.Validated(new() { StopTokenIds = [8], MaxTokens = 50 });
        var sequence = lab.Add(new Sequence(1, SchedulerLab.Prompt(1, 4), 50) { Sampling = sampling });
        lab.Step();
        lab.Report(lab.Scheduler.Schedule(), [[7, 8, 7, 7]]);
        Assert.Equal([7, 7, 8], sequence.OutputTokenIds.ToArray());
        Assert.Null(sequence.Drafter);
        Assert.Equal((FinishReason.Stop, 8), (sequence.FinishReason, sequence.StopTokenId));
        Assert.Equal(64, lab.Kv.NumFreeBlocks);
    }

    [Fact]
    public void The_prefix_cache_holds_accepted_tokens_alone()
    {
        var lab = Lab([7, 7, 7], blockSize: 4);
        var prompt = SchedulerLab.Prompt(1, 5);
        lab.Add(new Sequence(1, prompt, 4));
        lab.Step();
        Assert.Equal(1, lab.Kv.NumCachedBlocks);
        lab.Report(lab.Scheduler.Schedule(), [[7, 9]]); // computes positions 5 to 7; the draft at 7 was wrong
        Assert.Equal(1, lab.Kv.NumCachedBlocks);
        lab.Report(lab.Scheduler.Schedule(), [[3]]); // the end
        var again = lab.Add(new Sequence(2, [.. prompt, 7, 7, 9, 3], 4));
        lab.Step();
        Assert.Equal(8, again.NumCachedTokens);
        var other = lab.Add(new Sequence(3, [.. prompt, 7, 7, 7, 3], 4));
        lab.Step();
        Assert.Equal(4, other.NumCachedTokens);
    }

    [Fact]
    public void A_block_that_the_last_accepted_drafts_filled_is_cached_when_the_sequence_ends()
    {
        var lab = Lab([7, 7, 7], blockSize: 4);
        var prompt = SchedulerLab.Prompt(1, 5);
        lab.Add(new Sequence(1, prompt, 5));
        lab.Step();
        lab.Report(lab.Scheduler.Schedule(), [[7, 7, 7, 7]]);
        Assert.False(lab.Scheduler.HasUnfinished);
        Assert.Equal(2, lab.Kv.NumCachedBlocks);
    }

    [Fact]
    public void What_an_executor_samples_otherwise_than_drafted_is_computed_again()
    {
        var lab = Lab([7, 7, 7]);
        var sequence = lab.Add(1, prompt: 20);
        lab.Step();
        // All tokens are right, but none was drafted, as with an executor that found them by other means.
        lab.Report(lab.Scheduler.Schedule(), [[8, 9]]);
        Assert.Equal((21, 23), (sequence.NumComputedTokens, sequence.NumTokens));
        var entry = Entry(lab);
        Assert.Equal((21, 2, 0), (entry.FirstPosition, entry.TokenIds.Length, entry.NumDrafts));
    }

    [Fact]
    public void A_sequence_without_drafts_runs_ahead_and_one_with_drafts_waits()
    {
        int[] drafts = [];
        var lab = Lab(() => drafts);
        lab.Add(1, prompt: 20);
        lab.Step();
        var step = lab.Scheduler.Schedule();
        var ahead = lab.Scheduler.Schedule(runAhead: true);
        Assert.Equal(ScheduledSequence.UnknownToken, Assert.Single(ahead.Sequences).TokenIds.Span[0]);
        lab.Report(step);

        // The drafter now has drafts, but the token in flight comes first.
        drafts = [7, 7];
        Assert.True(lab.Scheduler.Schedule(runAhead: true).IsEmpty);
        lab.Report(ahead);
        var drafted = lab.Scheduler.Schedule();
        Assert.Equal(2, Assert.Single(drafted.Sequences).NumDrafts);
        Assert.True(lab.Scheduler.Schedule(runAhead: true).IsEmpty);
        lab.Report(drafted, [[7, 7, 7]]);
    }

    [Fact]
    public void No_more_sequences_wait_to_draft_than_the_next_step_gives_drafts_to()
    {
        int[] drafts = [];
        var lab = Many(8, () => drafts);
        var step = lab.Scheduler.Schedule();
        drafts = [7, 7, 7];
        var ahead = lab.Scheduler.Schedule(runAhead: true);
        Assert.Equal([3, 4, 5, 6, 7, 8], ahead.Sequences.Select(entry => entry.SequenceId)); // 1 and 2 wait: a step has only four drafts
        lab.Report(step);
        var drafted = lab.Scheduler.Schedule(runAhead: true);
        // 1 and 2 draft. Of the sequences in the step ahead, the next two wait.
        Assert.Equal([(1, 3), (2, 1), (5, 0), (6, 0), (7, 0), (8, 0)], drafted.Sequences.Select(entry => (entry.SequenceId, entry.NumDrafts)));
        lab.Report(ahead);
        Assert.Equal([(3, 3), (4, 1)], lab.Scheduler.Schedule(runAhead: true).Sequences.Where(entry => entry.NumDrafts > 0).Select(entry => (entry.SequenceId, entry.NumDrafts)));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Where_drafts_are_few_sequences_take_turns(bool runsAhead)
    {
        var lab = Many(8, () => [7, 7, 7]);
        var drafts = new int[9];
        var inFlight = new Queue<SchedulerOutput>();
        for (var i = 0; i < 24; i++)
        {
            while (inFlight.Count < (runsAhead ? 2 : 1) && lab.Scheduler.Schedule(runAhead: inFlight.Count > 0) is { IsEmpty: false } next)
                inFlight.Enqueue(next);
            var step = inFlight.Dequeue();
            foreach (var entry in step.Sequences)
                drafts[entry.SequenceId] += entry.NumDrafts > 0 ? 1 : 0;
            lab.Report(step);
        }

        // Two of eight sequences draft in each of 24 steps.
        Assert.All(drafts[1..], steps => Assert.InRange(steps, 5, 7));
    }

    [Theory]
    [InlineData(9, 4, 512, false)]
    [InlineData(9, 3, 512, true)] // one token is left after the one in flight
    [InlineData(14, 9, 512, true)] // its block is full, and the other is kept for its next token
    [InlineData(9, 4, 1, true)] // the next step's budget is its one token
    public void A_sequence_that_would_get_no_drafts_runs_ahead(int prompt, int maxTokens, int budget, bool runsAhead)
    {
        int[] drafts = [];
        var lab = Lab(() => drafts, numBlocks: 2, maxModelLen: 32, maxNumBatchedTokens: budget);
        var sequence = lab.Add(1, prompt, maxTokens);
        while (sequence.NumOutputTokens == 0)
            lab.Step();
        lab.Scheduler.Schedule();
        drafts = [7, 7];
        Assert.Equal(!runsAhead, lab.Scheduler.Schedule(runAhead: true).IsEmpty);
    }

    [Fact]
    public void A_choice_that_depends_on_the_tokens_before_it_is_the_hosts_where_there_are_drafts()
    {
        foreach (var (penalty, expected) in new[] { (0.0, false), (1.0, true) })
        {
            var lab = Lab([7]);
            var sampling = SamplingKit.Validated(new() { PresencePenalty = penalty, MaxTokens = 50 });
            lab.Add(new Sequence(1, SchedulerLab.Prompt(1, 4), 50) { Sampling = sampling });
            var prompt = lab.Scheduler.Schedule();
            Assert.False(prompt.SamplesOnHost);
            lab.Report(prompt);
            Assert.Equal(expected, lab.Scheduler.Schedule().SamplesOnHost);
        }
    }

    [Fact]
    public void A_failed_step_leaves_no_draft()
    {
        var lab = Lab([7, 7]);
        var sequence = lab.Add(1, prompt: 20);
        lab.Step();
        lab.Scheduler.FailStep(lab.Scheduler.Schedule().StepId);
        Assert.Equal((0, FinishReason.Error, 64), (sequence.NumDrafts, sequence.FinishReason, lab.Kv.NumFreeBlocks));
        lab.Scheduler.CheckIntegrity();
    }

    // Sequences that each have a token, and steps with up to four drafts.
    private static SchedulerLab Many(int count, Func<int[]> drafts)
    {
        var lab = new SchedulerLab(numBlocks: 256, configure: options => options with { MaxDrafts = 3, MaxDraftsOfStep = 4, CreateDrafter = () => new GivenDrafter(drafts) });
        for (var id = 1; id <= count; id++)
            lab.Add(id, prompt: 3);
        lab.Step();
        return lab;
    }

    private static ScheduledSequence Entry(SchedulerLab lab)
    {
        var output = lab.Scheduler.Schedule();
        lab.Scheduler.CheckIntegrity();
        return Assert.Single(output.Sequences);
    }

    private static SchedulerLab Lab(int[] drafts, int numBlocks = 64, int blockSize = 16, int maxModelLen = 256, int maxNumBatchedTokens = 512) =>
        Lab(() => drafts, numBlocks, blockSize, maxModelLen, maxNumBatchedTokens);

    private static SchedulerLab Lab(Func<int[]> drafts, int numBlocks = 64, int blockSize = 16, int maxModelLen = 256, int maxNumBatchedTokens = 512) =>
        new(numBlocks, blockSize, maxModelLen, maxNumBatchedTokens, configure: options => options with { MaxDrafts = 3, CreateDrafter = () => new GivenDrafter(drafts) });

    private sealed class GivenDrafter(Func<int[]> drafts) : IDrafter
    {
        public ReadOnlySpan<int> Propose(ReadOnlySpan<int> tokens, int numPromptTokens, int max) => drafts().AsSpan(0, Math.Min(max, drafts().Length));
    }
}
