using Xunit;

namespace LocalLlm.Tests.Engine;

public class AbortTests
{
    [Fact]
    public async Task A_thousand_aborts_at_random_moments_free_their_blocks_and_change_no_other_request()
    {
        var kept = TinyEngine.Requests(40, 30, seed: 5);
        var left = TinyEngine.Requests(1000, 200, seed: 6);
        await using var reference = await TinyEngine.LoadAsync();
        var expected = await TinyEngine.RunAsync(reference, kept);

        await using var engine = await TinyEngine.LoadAsync(options => options with { NumGpuBlocksOverride = 400 });
        var running = TinyEngine.RunAsync(engine, kept);
        await System.Threading.Tasks.Parallel.ForAsync(0, left.Length, new ParallelOptions { MaxDegreeOfParallelism = 32 }, async (i, _) => await LeaveAfter(engine, left[i], pieces: i % 7));
        Assert.Equal(expected, await running);
        await AssertIdleAsync(engine);
    }

    [Fact]
    public async Task Leaving_the_enumeration_frees_the_blocks()
    {
        await using var engine = await TinyEngine.LoadAsync();
        await foreach (var output in engine.GenerateAsync(TinyEngine.Requests(1, 500)[0], TestContext.Current.CancellationToken))
        {
            Assert.Null(output.FinishReason);
            break;
        }

        await AssertIdleAsync(engine);
    }

    [Fact]
    public async Task Cancelling_throws_and_frees_the_blocks()
    {
        await using var engine = await TinyEngine.LoadAsync();
        using var source = new CancellationTokenSource();
        var request = TinyEngine.Requests(1, 1500)[0];
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () =>
        {
            await foreach (var output in engine.GenerateAsync(request, source.Token))
                await source.CancelAsync();
        });
        await AssertIdleAsync(engine);
    }

    [Fact]
    public async Task Disposing_the_engine_aborts_what_runs_and_refuses_what_comes()
    {
        var engine = await TinyEngine.LoadAsync();
        var request = TinyEngine.Requests(1, 1500)[0];
        var stream = engine.GenerateAsync(request, TestContext.Current.CancellationToken).GetAsyncEnumerator(TestContext.Current.CancellationToken);
        Assert.True(await stream.MoveNextAsync());
        await engine.DisposeAsync();
        GenerationOutput? last = null;
        while (await stream.MoveNextAsync())
            last = stream.Current;
        Assert.Equal(FinishReason.Abort, last!.FinishReason);
        var refusal = Assert.Throws<EngineException>(() => engine.GenerateAsync(request, TestContext.Current.CancellationToken));
        Assert.Equal(EngineErrorKind.ShuttingDown, refusal.Kind);
    }

    [Fact]
    public async Task A_drain_lets_running_requests_finish()
    {
        var engine = await TinyEngine.LoadAsync(options => options with { DrainTimeout = TimeSpan.FromMinutes(1) });
        var stream = engine.GenerateAsync(TinyEngine.Requests(1, 40)[0], TestContext.Current.CancellationToken).GetAsyncEnumerator(TestContext.Current.CancellationToken);
        Assert.True(await stream.MoveNextAsync());
        var disposed = engine.DisposeAsync();
        var tokens = stream.Current.TokenIds.Count;
        GenerationOutput? last = null;
        while (await stream.MoveNextAsync())
        {
            last = stream.Current;
            tokens += last.TokenIds.Count;
        }

        await disposed;
        Assert.Equal(FinishReason.Length, last!.FinishReason);
        Assert.Equal(40, tokens);
    }

    private static async Task LeaveAfter(LlmEngine engine, GenerationRequest request, int pieces)
    {
        // Some callers leave between pieces, some are cancelled while they wait for a piece, and some before their first step.
        using var source = new CancellationTokenSource();
        var seen = 0;
        try
        {
            if (pieces == 0)
                source.CancelAfter(TimeSpan.FromMilliseconds(1));
            await foreach (var output in engine.GenerateAsync(request, source.Token))
            {
                if (++seen == pieces)
                    break;
            }
        }
        catch (OperationCanceledException)
        {
            Assert.Equal(0, pieces);
        }
    }

    // The blocks are free once the step that was running has ended; the next request's first piece proves that it has.
    private static async Task AssertIdleAsync(LlmEngine engine)
    {
        await engine.CompleteAsync(GenerationRequest.FromTokenIds([1], new SamplingParams { MaxTokens = 1, Temperature = 0 }));
        while (engine.Statistics.Running + engine.Statistics.Waiting > 0)
            await Task.Yield();
        Assert.Equal(engine.Statistics.KvBlocksTotal, engine.Statistics.KvBlocksFree);
    }
}
