using LocalLlm.Scheduling;
using LocalLlm.Tests.Sampling;
using Xunit;

namespace LocalLlm.Tests.Scheduling;

/// <summary>A step may bring a sequence no token, or several.</summary>
public class TokensOfAStepTests
{
    [Fact]
    public void Several_tokens_are_appended_and_those_after_the_first_are_computed_next()
    {
        var lab = new SchedulerLab();
        var sequence = lab.Add(1, prompt: 20);
        var update = Assert.Single(lab.Report(lab.Scheduler.Schedule(), [[5, 6, 7]]));
        Assert.Equal((3, 20, 0), (update.NumNewTokens, update.NumScheduledTokens, update.FirstPosition));
        Assert.Equal([5, 6, 7], sequence.OutputTokenIds.ToArray());
        var next = Assert.Single(lab.Step());
        Assert.Equal((20, 3, true), (next.FirstPosition, next.TokenIds.Length, next.SamplesToken));
    }

    [Fact]
    public void No_token_for_a_sequence_that_samples_computes_its_last_position_again()
    {
        var lab = new SchedulerLab();
        var sequence = lab.Add(1, prompt: 20);
        lab.Report(lab.Scheduler.Schedule(), [[]]);
        Assert.Equal((19, 0), (sequence.NumComputedTokens, sequence.NumOutputTokens));
        var again = Assert.Single(lab.Step());
        Assert.Equal((19, 1, true), (again.FirstPosition, again.TokenIds.Length, again.SamplesToken));
        Assert.Equal(1, sequence.NumOutputTokens);
    }

    [Fact]
    public void No_token_takes_a_block_into_the_prefix_cache_before_its_last_position_counts()
    {
        var lab = new SchedulerLab();
        lab.Add(1, prompt: 16);
        lab.Report(lab.Scheduler.Schedule(), [[]]);
        Assert.Equal(0, lab.Kv.NumCachedBlocks);
        lab.Step();
        Assert.Equal(1, lab.Kv.NumCachedBlocks);
    }

    [Theory]
    [InlineData(2, FinishReason.Length)]
    [InlineData(3, FinishReason.Stop)]
    public void The_token_that_ends_a_sequence_is_its_last_whatever_came_with_it(int maxTokens, FinishReason reason)
    {
        var lab = new SchedulerLab();
        var sampling = SamplingKit.Validated(new() { StopTokenIds = [8], MaxTokens = maxTokens });
        var sequence = lab.Add(new Sequence(1, SchedulerLab.Prompt(1, 4), maxTokens) { Sampling = sampling });
        var update = Assert.Single(lab.Report(lab.Scheduler.Schedule(), [[5, 6, 8, 9, 10]]));
        Assert.Equal((maxTokens, reason), (update.NumNewTokens, sequence.FinishReason));
        Assert.Equal(64, lab.Kv.NumFreeBlocks);
    }

    [Fact]
    public void The_context_is_never_exceeded_by_several_tokens()
    {
        var lab = new SchedulerLab(maxModelLen: 22);
        var sequence = lab.Add(1, prompt: 20);
        lab.Report(lab.Scheduler.Schedule(), [[5, 6, 7]]);
        Assert.Equal((FinishReason.Length, 22), (sequence.FinishReason, sequence.NumTokens));
    }

    [Fact]
    public void A_bad_token_behind_good_ones_ends_the_sequence_after_them()
    {
        var lab = new SchedulerLab();
        var sequence = lab.Add(1, prompt: 20);
        var update = Assert.Single(lab.Report(lab.Scheduler.Schedule(), [[5, -1]]));
        Assert.Equal((1, FinishReason.Error), (update.NumNewTokens, sequence.FinishReason));
        Assert.NotNull(update.Failure);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(2)]
    public void A_step_that_was_submitted_ahead_needs_exactly_one_token_of_the_one_before(int count)
    {
        var lab = new SchedulerLab();
        lab.Add(1, prompt: 20);
        var first = lab.Scheduler.Schedule();
        Assert.False(lab.Scheduler.Schedule(runAhead: true).IsEmpty);
        Assert.Equal(EngineErrorKind.EngineDead, Assert.Throws<EngineException>(() => lab.Report(first, [[.. Enumerable.Range(5, count)]])).Kind);
    }
}
