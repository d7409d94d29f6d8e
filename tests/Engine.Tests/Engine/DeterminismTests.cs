using LocalLlm.Tests.Execution;
using Xunit;

namespace LocalLlm.Tests.Engine;

/// <summary>In float32 on the CPU a request's tokens do not depend on what else runs, nor on how its work is split into steps.</summary>
public sealed class DeterminismTests(DeterminismTests.AloneRuns alone) : IClassFixture<DeterminismTests.AloneRuns>
{
    private const int RequestCount = 200;
    private const int MaxTokens = 16;

    [Theory]
    [InlineData(2)]
    [InlineData(64)]
    public async Task Random_batches_give_the_ids_of_lone_runs(int largestBatch)
    {
        await using var engine = await TinyEngine.LoadAsync(options => options with { EnablePrefixCaching = false });
        var random = new Random(largestBatch);
        for (var first = 0; first < RequestCount;)
        {
            var count = Math.Min(RequestCount - first, random.Next(2, largestBatch + 1));
            var ids = await TinyEngine.RunAsync(engine, alone.Requests[first..(first + count)]);
            Assert.Equal(alone.Ids[first..(first + count)], ids);
            first += count;
        }
    }

    [Fact]
    public async Task A_cold_and_a_hot_prefix_cache_give_the_ids_of_lone_runs()
    {
        await using var engine = await TinyEngine.LoadAsync();
        Assert.Equal(alone.Ids, await TinyEngine.RunAsync(engine, alone.Requests));
        var hits = engine.Statistics.PrefixCacheHits;
        Assert.Equal(alone.Ids, await TinyEngine.RunAsync(engine, alone.Requests));
        Assert.True(engine.Statistics.PrefixCacheHits > hits, "the second run hit nothing");
    }

    [Fact]
    public async Task An_evicting_prefix_cache_gives_the_ids_of_lone_runs()
    {
        // Twelve blocks of 16 tokens hold at most two sequences, so every new sequence evicts blocks.
        await using var engine = await TinyEngine.LoadAsync(options => options with { NumGpuBlocksOverride = 12 });
        Assert.Equal(alone.Ids[..60], await TinyEngine.RunAsync(engine, alone.Requests[..60]));
        Assert.Equal(alone.Ids[..60], await TinyEngine.RunAsync(engine, alone.Requests[..60]));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(7)]
    [InlineData(64)]
    [InlineData(0)]
    public async Task Every_chunk_size_gives_the_ids_of_lone_runs(int chunk)
    {
        await using var engine = await TinyEngine.LoadAsync(options => options with { LongPrefillTokenThreshold = chunk, EnablePrefixCaching = false });
        Assert.Equal(alone.Ids, await TinyEngine.RunAsync(engine, alone.Requests));
    }

    [Fact]
    public async Task A_pool_of_a_quarter_of_the_demand_gives_the_ids_of_lone_runs()
    {
        // Short prompts with long outputs make sequences outgrow the pool after their admission.
        var requests = alone.Requests.Select(request => request with { Sampling = request.Sampling with { MaxTokens = 90 } }).ToArray();
        await using var roomy = await TinyEngine.LoadAsync();
        var expected = await TinyEngine.RunAsync(roomy, requests);
        var demand = requests.Sum(request => (request.PromptTokenIds!.Count + 90 + 15) / 16);

        await using var engine = await TinyEngine.LoadAsync(options => options with { NumGpuBlocksOverride = demand / 4, LongPrefillTokenThreshold = 7, EnablePrefixCaching = false });
        Assert.Equal(expected, await TinyEngine.RunAsync(engine, requests));
        // There are fewer preemptions if steps run ahead, since such a step waits where it would preempt, and with drafts, since sequences
        // end sooner.
        Assert.True(engine.Statistics.Preemptions >= (SuiteExecutor.RunsAhead || SuiteExecutor.Speculates ? 50 : 100), $"only {engine.Statistics.Preemptions} preemptions");
    }

    [Fact]
    public async Task Each_of_n_sequences_is_the_same_in_every_run()
    {
        await using var engine = await TinyEngine.LoadAsync();
        var request = alone.Requests[1] with { Sampling = alone.Requests[1].Sampling with { N = 5 } };
        var first = await engine.CompleteAsync(request, TestContext.Current.CancellationToken);
        var second = (await engine.GenerateBatchAsync([.. alone.Requests[..20], request], cancellationToken: TestContext.Current.CancellationToken))[^1];
        Assert.Equal(first.Outputs.Select(output => output.TokenIds), second.Outputs.Select(output => output.TokenIds));
        Assert.Equal(alone.Ids[1], first.Outputs[0].TokenIds);
        Assert.True(first.Outputs.DistinctBy(output => string.Join(' ', output.TokenIds)).Count() > 1, "all sequences are the same");
    }

    /// <summary>What every request gives when nothing else runs and nothing is cached.</summary>
    public sealed class AloneRuns : IAsyncLifetime
    {
        public GenerationRequest[] Requests { get; } = TinyEngine.Requests(RequestCount, MaxTokens);

        public int[][] Ids { get; private set; } = [];

        public async ValueTask InitializeAsync()
        {
            await using var engine = await TinyEngine.LoadAsync(options => options with { EnablePrefixCaching = false });
            var ids = new List<int[]>();
            foreach (var request in Requests)
                ids.AddRange(await TinyEngine.RunAsync(engine, [request]));
            Ids = [.. ids];
        }

        public ValueTask DisposeAsync() => ValueTask.CompletedTask;
    }
}
