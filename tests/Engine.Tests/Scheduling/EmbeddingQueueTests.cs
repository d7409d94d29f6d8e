using LocalLlm.Scheduling;
using Xunit;

namespace LocalLlm.Tests.Scheduling;

/// <summary>How waiting texts become steps.</summary>
public sealed class EmbeddingQueueTests
{
    [Fact]
    public void A_step_takes_no_more_than_its_budget_and_nothing_is_lost()
    {
        var random = new Random(1);
        foreach (var _ in Enumerable.Range(0, 200))
        {
            var (budget, queue) = (random.Next(50, 600), new EmbeddingQueue());
            EmbeddingRequest[] requests = [.. Enumerable.Range(0, random.Next(1, 6)).Select(_ => Request(Enumerable.Range(0, random.Next(1, 30)).Select(_ => random.Next(1, 200)), TestContext.Current.CancellationToken))];
            foreach (var request in requests)
                queue.Add(request);
            var taken = new List<EmbeddingWork>();
            while (queue.Tokens > 0)
            {
                var batch = queue.TakeBatch(budget);
                Assert.True(batch.Count == 1 || batch.Sum(work => work.Ids.Length) <= budget);
                Assert.Equal(batch.Select(work => work.Ids.Length).OrderDescending(), batch.Select(work => work.Ids.Length));
                taken.AddRange(batch);
            }

            Assert.Equal(requests.Sum(request => request.Works.Count), taken.Count);
            Assert.Equal(requests.SelectMany(request => request.Works).ToHashSet(), taken.ToHashSet());
        }
    }

    [Fact]
    public void Steps_are_of_about_the_same_size()
    {
        var queue = new EmbeddingQueue();
        queue.Add(Request(Enumerable.Repeat(10, 110), TestContext.Current.CancellationToken));
        var first = queue.TakeBatch(1000).Count;
        Assert.InRange(first, 55, 70);
        Assert.Equal(110 - first, queue.TakeBatch(1000).Count);
        Assert.Equal(0, queue.Tokens);
    }

    [Fact]
    public void A_short_request_does_not_wait_for_a_long_one()
    {
        var queue = new EmbeddingQueue();
        queue.Add(Request(Enumerable.Repeat(100, 1000), TestContext.Current.CancellationToken));
        var first = queue.TakeBatch(1000);
        var quick = Request([7], TestContext.Current.CancellationToken);
        queue.Add(quick);
        Assert.Contains(quick.Works[0], queue.TakeBatch(1000));
        Assert.Equal(10, first.Count);
    }

    [Fact]
    public void Cancelled_texts_leave_the_queue()
    {
        using var left = new CancellationTokenSource();
        var queue = new EmbeddingQueue();
        var (kept, gone) = (Request([5, 6], TestContext.Current.CancellationToken), Request([9, 9, 9], left.Token));
        queue.Add(gone);
        queue.Add(kept);
        queue.TakeBatch(9);
        Assert.Empty(queue.TakeCancelled());
        left.Cancel();
        Assert.Equal([gone], queue.TakeCancelled());
        Assert.Equal(2, gone.TakeAll().Count);
        Assert.Equal(11, queue.Tokens);
        Assert.Equal(2, queue.TakeAll().Count);
        Assert.Equal(0, queue.Tokens);
    }

    private static EmbeddingRequest Request(IEnumerable<int> lengths, CancellationToken cancellationToken) =>
        new([.. lengths.Select(length => new EmbeddingWork(new int[length], EmbeddingKinds.Dense))], cancellationToken);
}
