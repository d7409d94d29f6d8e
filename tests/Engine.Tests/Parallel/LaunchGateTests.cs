using LocalLlm.Parallel;
using Xunit;

namespace LocalLlm.Tests.Parallel;

public class LaunchGateTests
{
    [Theory]
    [InlineData(2, 20_000)]
    [InlineData(5, 500)]
    public void No_rank_is_more_than_a_pass_ahead(int parties, int passes)
    {
        var gate = new LaunchGate(parties);
        var passed = new int[parties];
        var apart = 0;
        Run(parties, rank =>
        {
            for (var pass = 1; pass <= passes; pass++)
            {
                Volatile.Write(ref passed[rank], pass);
                gate.Pass();
                // Every rank has come this far, and none has gone further than to the next pass.
                for (var other = 0; other < parties; other++)
                {
                    if (Volatile.Read(ref passed[other]) is var there && (there < pass || there > pass + 1))
                        Interlocked.Increment(ref apart);
                }
            }
        });
        Assert.Equal(0, apart);
    }

    [Fact]
    public void Closing_a_gate_throws_its_reason_in_waiting_and_later_ranks()
    {
        var gate = new LaunchGate(2);
        Exception? thrown = null;
        var waiting = new Thread(() => thrown = Record.Exception(gate.Pass));
        waiting.Start();
        gate.Close(RankFailedException.From(new InvalidOperationException("pulled out")));
        Assert.True(waiting.Join(TimeSpan.FromMinutes(1)));
        Assert.Contains("pulled out", Assert.IsType<RankFailedException>(thrown).Message, StringComparison.Ordinal);
        Assert.Throws<RankFailedException>(gate.Pass);
    }

    private static void Run(int parties, Action<int> work)
    {
        var threads = Enumerable.Range(0, parties).Select(rank => new Thread(() => work(rank))).ToList();
        threads.ForEach(thread => thread.Start());
        threads.ForEach(thread => thread.Join());
    }
}
