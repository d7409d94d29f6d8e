using LocalLlm.Execution;
using LocalLlm.Scheduling;
using Xunit;

namespace LocalLlm.Tests.Scheduling;

public class SchedulerFailureTests
{
    [Fact]
    public void An_abort_between_schedule_and_update_gives_the_blocks_back_only_with_the_update()
    {
        var log = new Log();
        var lab = new SchedulerLab(observer: log);
        var gone = lab.Add(1, prompt: 20);
        lab.Add(2, prompt: 20);
        var output = lab.Scheduler.Schedule();
        Assert.True(lab.Scheduler.Abort(1));
        Assert.False(lab.Scheduler.Abort(1));
        Assert.Equal(["finished 1 Abort"], log.Lines);
        Assert.Equal(60, lab.Kv.NumFreeBlocks);
        lab.Scheduler.CheckIntegrity();

        lab.Report(output);

        Assert.Equal(62, lab.Kv.NumFreeBlocks);
        Assert.Equal(0, gone.NumOutputTokens);
        Assert.Equal(["finished 1 Abort", "token 2 7"], log.Lines);
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
        lab.Scheduler.Update(lab.Scheduler.Schedule(), [-1, 5]);
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
        lab.Scheduler.Update(lab.Scheduler.Schedule(), [-1]);
        Assert.Equal(0, lab.Kv.NumCachedBlocks);
        var next = lab.Add(new Sequence(2, prompt, 5));
        lab.Step();
        Assert.Equal(0, next.NumCachedTokens);
    }

    [Fact]
    public void A_failed_step_ends_its_sequences_and_no_other()
    {
        var log = new Log();
        var lab = new SchedulerLab(observer: log, configure: o => o with { MaxNumSeqs = 2 });
        Sequence a = lab.Add(1, prompt: 40), b = lab.Add(2, prompt: 40), c = lab.Add(3, prompt: 40);
        var failure = new InvalidOperationException("out of memory");
        lab.Scheduler.FailStep(lab.Scheduler.Schedule(), failure);

        Assert.Equal(["finished 1 Error", "finished 2 Error"], log.Lines);
        Assert.Same(failure, a.Failure);
        Assert.Equal((FinishReason.Error, SequenceState.Waiting), (b.FinishReason, c.State));
        Assert.Equal((64, 0), (lab.Kv.NumFreeBlocks, lab.Kv.NumCachedBlocks));
        Assert.Equal([3L], lab.Step().Select(s => s.SequenceId));
    }

    [Fact]
    public void A_cancelled_step_is_scheduled_again_without_the_one_to_blame()
    {
        var lab = new SchedulerLab();
        Sequence culprit = lab.Add(1, prompt: 40), other = lab.Add(2, prompt: 40);
        var output = lab.Scheduler.Schedule();
        lab.Scheduler.Finish(culprit, FinishReason.Error);
        lab.Scheduler.CancelStep(output);
        lab.Scheduler.CheckIntegrity();
        Assert.Equal((0, 0), (other.NumComputedTokens, lab.Kv.NumCachedBlocks));
        var entry = lab.Step().Single();
        Assert.Equal((2, 0, 40), (entry.SequenceId, entry.FirstPosition, entry.TokenIds.Length));
        Assert.Equal(1, other.NumOutputTokens);
    }

    [Fact]
    public void Later_chunks_in_flight_of_a_cancelled_step_are_ignored()
    {
        var lab = new SchedulerLab(maxNumBatchedTokens: 16);
        var sequence = lab.Add(1, prompt: 48);
        SchedulerOutput first = lab.Scheduler.Schedule(), second = lab.Scheduler.Schedule(), third = lab.Scheduler.Schedule();
        Assert.Equal([0, 16, 32], new[] { first, second, third }.Select(o => o.Sequences[0].FirstPosition));
        lab.Report(first);
        lab.Scheduler.CancelStep(second);
        var again = lab.Scheduler.Schedule();
        Assert.Equal(16, again.Sequences[0].FirstPosition);
        lab.Report(third);
        Assert.Equal((16, 0, 1), (sequence.NumComputedTokens, sequence.NumOutputTokens, lab.Kv.NumCachedBlocks));
        lab.Report(again);
        lab.Step();
        Assert.Equal((48, 1), (sequence.NumComputedTokens, sequence.NumOutputTokens));
    }

    [Fact]
    public void An_observer_that_throws_fails_that_sequence_alone()
    {
        var failure = new FormatException("bad token");
        var log = new Log { OnTokenOf = id => id == 2 ? throw failure : null };
        var lab = new SchedulerLab(observer: log);
        lab.Add(1, prompt: 4);
        var bad = lab.Add(2, prompt: 4);
        lab.Add(3, prompt: 4);
        lab.Step();
        Assert.Equal(["token 1 7", "finished 2 Error", "token 3 7"], log.Lines);
        Assert.Same(failure, bad.Failure);
    }

    [Fact]
    public void An_observer_may_end_others_while_a_step_is_handled()
    {
        Scheduler? scheduler = null;
        var log = new Log();
        log.OnTokenOf = id =>
        {
            if (id == 2)
            {
                scheduler!.Abort(1); // handled already
                scheduler.Abort(3); // still to come
            }

            return id == 2 ? FinishReason.Stop : null;
        };
        var lab = new SchedulerLab(observer: log);
        scheduler = lab.Scheduler;
        for (var id = 1; id <= 4; id++)
            lab.Add(id, prompt: 4);
        lab.Step();
        Assert.Equal(["token 1 7", "token 2 7", "finished 1 Abort", "finished 3 Abort", "finished 2 Stop", "token 4 7"], log.Lines);
        Assert.Equal(63, lab.Kv.NumFreeBlocks);
    }

    [Fact]
    public void A_stop_wins_over_the_length_limit_at_the_same_token()
    {
        var log = new Log { OnTokenOf = _ => FinishReason.Stop };
        var lab = new SchedulerLab(observer: log);
        var sequence = lab.Add(1, prompt: 4, maxTokens: 1);
        lab.Step();
        Assert.Equal(FinishReason.Stop, sequence.FinishReason);
    }

    [Fact]
    public void Steps_must_come_back_in_order_once_and_with_all_tokens()
    {
        var lab = new SchedulerLab(maxNumBatchedTokens: 8);
        lab.Add(1, prompt: 30);
        SchedulerOutput first = lab.Scheduler.Schedule(), second = lab.Scheduler.Schedule();
        Assert.Equal(EngineErrorKind.EngineDead, Assert.Throws<EngineException>(() => lab.Scheduler.Update(second, [0])).Kind);
        Assert.Equal(EngineErrorKind.EngineDead, Assert.Throws<EngineException>(() => lab.Scheduler.Update(first, [])).Kind);
        lab.Report(first);
        lab.Report(second);
        lab.Scheduler.CheckIntegrity();
    }

    [Fact]
    public void Shutdown_ends_everybody_in_order_of_arrival()
    {
        var log = new Log();
        var lab = new SchedulerLab(observer: log, configure: o => o with { MaxNumSeqs = 2 });
        for (var id = 1; id <= 3; id++)
            lab.Add(id, prompt: 4);
        var output = lab.Scheduler.Schedule();
        lab.Scheduler.FinishAll(FinishReason.Abort);
        Assert.Equal(["finished 1 Abort", "finished 2 Abort", "finished 3 Abort"], log.Lines);
        lab.Report(output);
        Assert.Equal(64, lab.Kv.NumFreeBlocks);
    }

    private sealed class Log : ISequenceObserver
    {
        public List<string> Lines { get; } = [];

        public Func<long, FinishReason?> OnTokenOf { get; set; } = _ => null;

        public FinishReason? OnToken(Sequence sequence, int tokenId)
        {
            var line = $"token {sequence.Id} {tokenId}";
            var at = Lines.Count;
            var reason = OnTokenOf(sequence.Id);
            Lines.Insert(at, line);
            return reason;
        }

        public void OnFinished(Sequence sequence) => Lines.Add($"finished {sequence.Id} {sequence.FinishReason}");
    }
}
