using LocalLlm.Scheduling;
using Xunit;

namespace LocalLlm.Tests.Scheduling;

/// <summary>How texts that wait become steps.</summary>
public sealed class EmbeddingLoopTests
{
    [Fact]
    public void A_step_takes_the_first_that_wait_and_no_more_than_its_budget()
    {
        var random = new Random(1);
        foreach (var _ in Enumerable.Range(0, 200))
        {
            var budget = random.Next(50, 600);
            var waiting = Waiting(Enumerable.Range(0, random.Next(1, 60)).Select(_ => random.Next(1, 200)));
            var order = waiting.ToArray();
            var taken = 0;
            while (waiting.Count > 0)
            {
                var batch = EmbeddingLoop.TakeBatch(waiting, budget);
                Assert.True(batch.Count == 1 || batch.Sum(work => work.Ids.Length) <= budget);
                Assert.Equal(order.Skip(taken).Take(batch.Count).ToHashSet(), batch.ToHashSet());
                Assert.Equal(batch.Select(work => work.Ids.Length).OrderDescending(), batch.Select(work => work.Ids.Length));
                taken += batch.Count;
            }

            Assert.Equal(order.Length, taken);
        }
    }

    [Fact]
    public void Steps_are_of_about_the_same_size()
    {
        var waiting = Waiting(Enumerable.Repeat(10, 110));
        var first = EmbeddingLoop.TakeBatch(waiting, 1000).Count;
        Assert.InRange(first, 55, 60);
        Assert.Equal(110 - first, EmbeddingLoop.TakeBatch(waiting, 1000).Count);
        Assert.Empty(waiting);
    }

    private static List<EmbeddingWork> Waiting(IEnumerable<int> lengths) => [.. lengths.Select(length => new EmbeddingWork(new int[length], EmbeddingKinds.Dense, CancellationToken.None))];
}
