using LocalLlm.Execution;
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

    private static List<SchedulerOutput> InFlight(SchedulerLab lab, int count) =>
        [.. Enumerable.Range(0, count).Select(_ => lab.Scheduler.Schedule()).Where(step => !step.IsEmpty)];
}
