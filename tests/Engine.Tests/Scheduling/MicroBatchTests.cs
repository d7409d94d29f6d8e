using LocalLlm.Execution;
using LocalLlm.Scheduling;
using LocalLlm.Tests.Sampling;
using Xunit;

namespace LocalLlm.Tests.Scheduling;

/// <summary>Steps of several pipeline stages are in flight together and share the sequences.</summary>
public class MicroBatchTests
{
    [Theory]
    [InlineData(2, 8, 4)]
    [InlineData(3, 8, 3)]
    [InlineData(4, 3, 1)]
    public void A_step_takes_no_more_than_its_share_so_that_as_many_as_there_are_stages_are_in_flight(int stages, int sequences, int share)
    {
        var lab = new SchedulerLab(configure: o => o with { MicroBatches = stages });
        for (var id = 1; id <= sequences; id++)
            lab.Add(id, prompt: 3);
        lab.Step(); // all prompts
        var steps = InFlight(lab, stages);
        Assert.Equal(share, steps[0].Sequences.Count);
        var ids = steps.SelectMany(step => step.Sequences.Select(entry => entry.SequenceId)).ToArray();
        Assert.Equal(ids.Length, ids.Distinct().Count());
        Assert.Equal(Math.Min(sequences, stages * share), ids.Length);
        foreach (var step in steps)
            lab.Report(step);
    }

    [Fact]
    public void The_chunks_of_a_long_prompt_do_not_keep_others_waiting()
    {
        var lab = new SchedulerLab(numBlocks: 200, maxModelLen: 2_000, maxNumBatchedTokens: 16,
            configure: o => o with { MicroBatches = 2, LongPrefillTokenThreshold = 8 });
        lab.Add(1, prompt: 1_000);
        lab.Add(2, prompt: 4);
        lab.Step();
        var inFlight = new Queue<SchedulerOutput>();
        var tokens = 0;
        for (var step = 0; step < 40; step++)
        {
            while (inFlight.Count < 2 && Next() is { } output)
                inFlight.Enqueue(output);
            tokens += inFlight.Peek().Sequences.Count(entry => entry.SequenceId == 2);
            lab.Report(inFlight.Dequeue());
        }

        Assert.InRange(tokens, 15, 40);

        SchedulerOutput? Next() => lab.Scheduler.Schedule() is { IsEmpty: false } output ? output : null;
    }

    [Fact]
    public void A_step_ahead_follows_the_oldest_step_that_none_follows_and_keeps_its_sequences_together()
    {
        var lab = new SchedulerLab(configure: o => o with { MicroBatches = 2 });
        for (var id = 1; id <= 4; id++)
            lab.Add(id, prompt: 3);
        lab.Step(); // all prompts
        var steps = new Queue<SchedulerOutput>(InFlight(lab, 2));
        for (var turn = 0; turn < 6; turn++)
        {
            var ahead = lab.Scheduler.Schedule(runAhead: true);
            Assert.Equal(Ids(steps.Peek()), Ids(ahead));
            Assert.All(ahead.Sequences, entry => Assert.Equal(ScheduledSequence.UnknownToken, entry.TokenIds.Span[0]));
            steps.Enqueue(ahead);
            lab.Report(steps.Dequeue());
        }
    }

    [Fact]
    public void A_sequence_alone_is_in_two_steps_at_most()
    {
        var lab = new SchedulerLab(configure: o => o with { MicroBatches = 3 });
        lab.Add(1, prompt: 3);
        var first = lab.Scheduler.Schedule();
        var ahead = lab.Scheduler.Schedule(runAhead: true);
        Assert.Equal([1L], Ids(ahead));
        Assert.True(lab.Scheduler.Schedule(runAhead: true).IsEmpty);
        lab.Report(first);
        Assert.Equal([1L], Ids(lab.Scheduler.Schedule(runAhead: true)));
    }

    // A free seat is filled from the next step, and not with sequences of the step after it, whose tokens come later.
    [Fact]
    public void A_step_ahead_whose_sequences_have_ended_in_part_waits_for_no_other_step()
    {
        var lab = new SchedulerLab(configure: o => o with { MicroBatches = 2 });
        for (var id = 1; id <= 6; id++)
            lab.Add(id, prompt: 3);
        lab.Step();
        var steps = InFlight(lab, 2);
        lab.Scheduler.Abort(1);
        lab.Scheduler.Abort(2);
        Assert.Equal([3L], Ids(lab.Scheduler.Schedule(runAhead: true)));
        Assert.Equal([4L, 5L], Ids(lab.Scheduler.Schedule(runAhead: true)));
        Assert.Equal([4L, 5L, 6L], Ids(steps[1]));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Tokens_that_the_host_must_know_are_waited_for_and_no_others(bool needsHistory)
    {
        var lab = new SchedulerLab(configure: o => o with { MicroBatches = 2 });
        var sampling = needsHistory ? new SamplingParams { Temperature = 0, RepetitionPenalty = 1.2 } : new SamplingParams { Temperature = 0, Logprobs = 2 };
        lab.Add(new Sequence(1, SchedulerLab.Prompt(1, 3), 100) { Sampling = SamplingKit.Validated(sampling) });
        lab.Add(2, prompt: 3);
        lab.Step();
        var steps = InFlight(lab, 2);
        Assert.Equal([1L, 2L], [.. Ids(steps[0]), .. Ids(steps[1])]);
        Assert.True(lab.Scheduler.Schedule(runAhead: true).IsEmpty);
        lab.Report(steps[0]);
        Assert.Equal([1L], Ids(lab.Scheduler.Schedule(runAhead: true)));
        Assert.Equal([2L], Ids(lab.Scheduler.Schedule(runAhead: true)));
    }

    private static long[] Ids(SchedulerOutput step) => [.. step.Sequences.Select(entry => entry.SequenceId)];

    private static List<SchedulerOutput> InFlight(SchedulerLab lab, int count) =>
        [.. Enumerable.Range(0, count).Select(_ => lab.Scheduler.Schedule()).Where(step => !step.IsEmpty)];
}
