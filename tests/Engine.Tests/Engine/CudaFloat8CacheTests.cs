using LocalLlm.Execution;
using LocalLlm.Interop;
using LocalLlm.Ops.Cuda;
using LocalLlm.Tests.Execution;
using LocalLlm.Tests.Ops;
using Xunit;

namespace LocalLlm.Tests.Engine;

/// <summary>The whole engine with 8-bit floats in the KV cache of a GPU, compared with the CPU and with itself.</summary>
public sealed class CudaFloat8CacheTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public CudaFloat8CacheTests()
    {
        TorchLibrary.EnsureLoaded();
        if (!CudaDevice.IsUsable())
            Assert.Skip("no NVIDIA card, or a libtorch without CUDA");
    }

    // An element between two steps of the format may be rounded either way, because earlier results differ in their last bits.
    [Theory]
    [InlineData("float32")]
    [InlineData("bfloat16")]
    public async Task Greedy_ids_part_from_the_cpus_only_at_near_ties(string dtype)
    {
        var expected = await CudaEngineTests.RunAsync(Options(dtype) with { Device = "cpu" }, CudaEngineTests.Requests(24, allLogprobs: true));
        var actual = await CudaEngineTests.RunAsync(Options(dtype), CudaEngineTests.Requests(24));
        CudaEngineTests.AssertEqualButForNearTies(expected, actual);
    }

    // On CPUs, several ranks never diverge from one rank, although they add in another order.
    [Fact]
    public async Task Most_greedy_float32_ids_are_the_cpus()
    {
        var requests = CudaEngineTests.Requests(24);
        var expected = await CudaEngineTests.RunAsync(Options("float32") with { Device = "cpu" }, requests);
        var actual = await CudaEngineTests.RunAsync(Options("float32"), requests);
        Assert.True(expected.Zip(actual).Count(pair => CudaEngineTests.Ids(pair.First) == CudaEngineTests.Ids(pair.Second)) >= 20);
    }

    [Fact]
    public async Task Recorded_steps_give_what_eager_ones_give()
    {
        // Requests run one after another, so that both engines run the same kernels on the same rows.
        var runs = new List<string[]>();
        foreach (var isEager in (bool[])[false, true])
        {
            await using var engine = await SuiteExecutor.LoadAsync(Options("bfloat16") with { EnforceEager = isEager }, cancellationToken: Token);
            var ids = new List<string>();
            foreach (var request in CudaEngineTests.Requests(8))
                ids.Add(CudaEngineTests.Ids(await engine.CompleteAsync(request, Token)));
            runs.Add([.. ids]);
        }

        Assert.Equal(runs[1], runs[0]);
    }

    [Fact]
    public async Task Chunks_cached_prefixes_and_preemption_part_from_lone_runs_only_at_near_ties()
    {
        var alone = new List<GenerationResult>();
        await using (var engine = await SuiteExecutor.LoadAsync(Options("bfloat16") with { EnablePrefixCaching = false }, cancellationToken: Token))
        {
            foreach (var request in CudaEngineTests.Requests(24, allLogprobs: true))
                alone.Add(await engine.CompleteAsync(request, Token));
        }

        foreach (var chunk in (int[])[7, 32])
        {
            await using var chunked = await SuiteExecutor.LoadAsync(Options("bfloat16") with { LongPrefillTokenThreshold = chunk }, cancellationToken: Token);
            CudaEngineTests.AssertEqualButForNearTies(alone, await chunked.GenerateBatchAsync(CudaEngineTests.Requests(24), cancellationToken: Token));
            CudaEngineTests.AssertEqualButForNearTies(alone, await chunked.GenerateBatchAsync(CudaEngineTests.Requests(24), cancellationToken: Token)); // from cached prefixes
            Assert.True(chunked.Statistics.PrefixCacheHits > 0);
        }

        await using var tight = await SuiteExecutor.LoadAsync(
            Options("bfloat16") with { NumGpuBlocksOverride = 20, MaxModelLen = 256, SchedulerReserveFullIsl = false }, cancellationToken: Token);
        CudaEngineTests.AssertEqualButForNearTies(alone, await tight.GenerateBatchAsync(CudaEngineTests.Requests(24), cancellationToken: Token));
        Assert.True(tight.Statistics.Preemptions > 0);
        Assert.Equal(tight.Statistics.KvBlocksTotal, tight.Statistics.KvBlocksFree);
    }

    [Fact]
    public async Task As_many_bytes_hold_nearly_twice_the_tokens_of_bfloat16()
    {
        var blocks = new List<long>();
        foreach (var cache in (string[])["auto", "fp8"])
        {
            await using var engine = await SuiteExecutor.LoadAsync(Options("bfloat16") with { KvCacheDtype = cache, KvCacheMemoryBytes = 64 << 20 }, cancellationToken: Token);
            blocks.Add(engine.Statistics.KvBlocksTotal);
        }

        Assert.InRange((double)blocks[1] / blocks[0], 1.9, 2);
    }

    [Fact]
    public async Task Two_ranks_part_from_one_only_at_near_ties()
    {
        CardRanks.Require(1);
        var expected = await CudaEngineTests.RunAsync(Options("bfloat16"), CudaEngineTests.Requests(16, allLogprobs: true));
        var ranks = RankLayout.Find("tp2")!.Of(Options("bfloat16") with { Device = "cuda:0" });
        await using var engine = await LlmEngine.LoadAsync(ranks with { ExecutorFactory = new DeviceExecutorFactory() }, cancellationToken: Token);
        CudaEngineTests.AssertEqualButForNearTies(expected, await engine.GenerateBatchAsync(CudaEngineTests.Requests(16), cancellationToken: Token));
    }

    private static EngineOptions Options(string dtype) =>
        new() { ModelPath = TestPaths.TinyR1, Dtype = CardTypes.NameOf(dtype), Device = "cuda", KvCacheDtype = "fp8", GpuMemoryUtilization = 0.4 };
}
