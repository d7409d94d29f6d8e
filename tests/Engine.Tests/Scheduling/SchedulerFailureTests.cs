using LocalLlm.Execution;
using LocalLlm.Sampling;
using LocalLlm.Scheduling;
using LocalLlm.Tests.Sampling;
using Xunit;

namespace LocalLlm.Tests.Scheduling;

public class SchedulerFailureTests
{
    [Fact]
    public void An_abort_between_schedule_and_update_gives_the_blocks_back_only_with_the_update()
    {
        var lab = new SchedulerLab();
        var gone = lab.Add(1, prompt: 20);
        lab.Add(2, prompt: 20);
        var output = lab.Scheduler.Schedule();
        Assert.True(lab.Scheduler.Abort(1));
        Assert.False(lab.Scheduler.Abort(1));
        Assert.Equal(FinishReason.Abort, gone.FinishReason);
        Assert.Equal(60, lab.Kv.NumFreeBlocks);
        lab.Scheduler.CheckIntegrity();

        Assert.Equal([0, 1], lab.Report(output).Select(update => update.NumNewTokens));

        Assert.Equal(62, lab.Kv.NumFreeBlocks);
        Assert.Equal(0, gone.NumOutputTokens);
        lab.Step();
        Assert.Equal([1], lab.FinishedIds);
    }

    [Fact]
    public void An_abort_in_the_queue_or_between_steps_gives_everything_back_at_once()
    {
        var lab = new SchedulerLab(configure: o => o with { MaxNumSeqs = 1 });
        lab.Add(1, prompt: 20);
        lab.Add(2, prompt: 20);
        lab.Step();
        Assert.True(lab.Scheduler.Abort(2));
        Assert.True(lab.Scheduler.Abort(1));
        Assert.False(lab.Scheduler.Abort(3));
        Assert.Equal(64, lab.Kv.NumFreeBlocks);
        Assert.False(lab.Scheduler.HasUnfinished);
        Assert.Empty(lab.Step());
    }

    [Fact]
    public void A_negative_token_never_enters_a_sequence()
    {
        var lab = new SchedulerLab();
        Sequence bad = lab.Add(1, prompt: 20), good = lab.Add(2, prompt: 20);
        var updates = lab.Report(lab.Scheduler.Schedule(), -1, 5);
        Assert.Equal([EngineErrorKind.GenerationFailed, null], updates.Select(update => update.Failure?.Kind));
        Assert.Equal((FinishReason.Error, 0), (bad.FinishReason, bad.NumOutputTokens));
        Assert.Equal([5], good.OutputTokenIds.ToArray());
        lab.Scheduler.CheckIntegrity();
    }

    [Fact]
    public void Nothing_of_a_failed_sequence_is_hit_by_the_next_one_with_its_prompt()
    {
        var lab = new SchedulerLab(maxNumBatchedTokens: 32);
        var prompt = SchedulerLab.Prompt(1, 60);
        lab.Add(new Sequence(1, prompt, 5));
        lab.Step();
        Assert.Equal(2, lab.Kv.NumCachedBlocks);
        lab.Report(lab.Scheduler.Schedule(), -1);
        Assert.Equal(0, lab.Kv.NumCachedBlocks);
        var next = lab.Add(new Sequence(2, prompt, 5));
        lab.Step();
        Assert.Equal(0, next.NumCachedTokens);
    }

    [Fact]
    public void A_failed_step_ends_its_sequences_and_no_other()
    {
        var lab = new SchedulerLab(configure: o => o with { MaxNumSeqs = 2 });
        Sequence a = lab.Add(1, prompt: 40), b = lab.Add(2, prompt: 40), c = lab.Add(3, prompt: 40);
        var ended = lab.Scheduler.FailStep(lab.Scheduler.Schedule().StepId).Select(update => update.Sequence);

        Assert.Equal([a, b], ended);
        Assert.Equal((FinishReason.Error, SequenceState.Waiting), (b.FinishReason, c.State));
        Assert.Equal((64, 0), (lab.Kv.NumFreeBlocks, lab.Kv.NumCachedBlocks));
        Assert.Equal([3L], lab.Step().Select(s => s.SequenceId));
    }

    [Fact]
    public void Steps_must_come_back_in_order_once_and_with_all_tokens()
    {
        var lab = new SchedulerLab(maxNumBatchedTokens: 8);
        lab.Add(1, prompt: 30);
        SchedulerOutput first = lab.Scheduler.Schedule(), second = lab.Scheduler.Schedule();
        Assert.Equal(EngineErrorKind.EngineDead, Assert.Throws<EngineException>(() => lab.Report(second)).Kind);
        Assert.Equal(EngineErrorKind.EngineDead, Assert.Throws<EngineException>(() => lab.Report(first, Array.Empty<int[]>())).Kind);
        Assert.Equal(EngineErrorKind.EngineDead, Assert.Throws<EngineException>(() => lab.Scheduler.Update(new() { StepId = first.StepId, Sequences = { new(2, default) } })).Kind);
        Assert.Equal(EngineErrorKind.EngineDead, Assert.Throws<EngineException>(() => lab.Report(first, [[7]])).Kind);
        lab.Report(first);
        lab.Report(second);
        lab.Scheduler.CheckIntegrity();
    }

    [Fact]
    public void Shutdown_ends_everybody_in_order_of_arrival()
    {
        var lab = new SchedulerLab(configure: o => o with { MaxNumSeqs = 2 });
        for (var id = 1; id <= 3; id++)
            lab.Add(id, prompt: 4);
        var output = lab.Scheduler.Schedule();
        Assert.Equal([1, 2, 3], lab.Scheduler.FinishAll(FinishReason.Abort).Select(sequence => sequence.Id));
        lab.Report(output);
        Assert.Equal(64, lab.Kv.NumFreeBlocks);
    }

    [Fact]
    public void A_sequence_that_ends_between_schedule_and_update_gets_no_token()
    {
        var lab = new SchedulerLab();
        for (var id = 1; id <= 4; id++)
            lab.Add(id, prompt: 4);
        var output = lab.Scheduler.Schedule();
        lab.Scheduler.Abort(1);
        lab.Scheduler.Abort(3);
        var updates = lab.Report(output);
        Assert.Equal([0, 1, 0, 1], updates.Select(update => update.NumNewTokens));
        Assert.Equal([FinishReason.Abort, null, FinishReason.Abort, null], updates.Select(update => update.Sequence.FinishReason));
        Assert.Equal(62, lab.Kv.NumFreeBlocks);
    }

    [Fact]
    public void A_failure_of_one_sequence_ends_it_alone_and_takes_no_token()
    {
        var lab = new SchedulerLab();
        lab.Add(1, prompt: 4);
        var bad = lab.Add(2, prompt: 4);
        lab.Add(3, prompt: 4);
        var result = SchedulerLab.Result(lab.Scheduler.Schedule(), [[7], [7], [7]]);
        var failure = new SequenceFailure(EngineErrorKind.GenerationFailed, "the prompt's logits are not finite");
        result.Sequences[1] = result.Sequences[1] with { Failure = failure };
        var updates = lab.Scheduler.Update(result);
        Assert.Equal([1, 0, 1], updates.Select(update => update.NumNewTokens));
        Assert.Same(failure, updates[1].Failure);
        Assert.Equal((FinishReason.Error, 0), (bad.FinishReason, bad.NumOutputTokens));
        lab.Scheduler.CheckIntegrity();
    }

    [Fact]
    public void A_stop_token_wins_over_the_length_limit_at_the_same_token()
    {
        var lab = new SchedulerLab();
        var sampling = SamplingKit.Validated(new() { StopTokenIds = [7], MaxTokens = 1 });
        var sequence = lab.Add(new Sequence(1, SchedulerLab.Prompt(1, 4), 1) { Sampling = sampling });
        lab.Step();
        Assert.Equal((FinishReason.Stop, 7), (sequence.FinishReason, sequence.StopTokenId));
    }

    [Fact]
    public void A_step_that_failed_with_later_ones_in_flight_ends_its_sequences_once()
    {
        var lab = new SchedulerLab(maxNumBatchedTokens: 16);
        var long_ = lab.Add(1, prompt: 48);
        var other = lab.Add(2, prompt: 10);
        SchedulerOutput first = lab.Scheduler.Schedule(), second = lab.Scheduler.Schedule(), third = lab.Scheduler.Schedule();
        var fourth = lab.Scheduler.Schedule();
        Assert.Equal([2], fourth.Sequences.Select(entry => entry.SequenceId));
        Assert.Equal(long_, Assert.Single(lab.Scheduler.FailStep(first.StepId)).Sequence);
        Assert.Empty(lab.Scheduler.FailStep(second.StepId));
        lab.Report(third);
        lab.Report(fourth);
        Assert.Equal((FinishReason.Error, 1), (long_.FinishReason, other.NumOutputTokens));
        Assert.Equal(63, lab.Kv.NumFreeBlocks);
    }
}
