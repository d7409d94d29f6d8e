using LocalLlm.Execution;
using LocalLlm.Interop;
using LocalLlm.Ops.Cuda;
using LocalLlm.Tests.Execution;
using LocalLlm.Tests.Ops;
using Xunit;

namespace LocalLlm.Tests.Engine;

/// <summary>
/// DeepSeek through the whole engine with its latent vectors as 8-bit floats in the KV cache of a GPU, compared with the CPU and with
/// itself.
/// </summary>
public sealed class CudaLatentFloat8EngineTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public CudaLatentFloat8EngineTests()
    {
        TorchLibrary.EnsureLoaded();
        if (!CudaDevice.IsUsable())
            Assert.Skip("no NVIDIA card, or a libtorch without CUDA");
    }

    // An element between two steps of the format may be rounded either way, because earlier results differ in their last bits.
    [Theory]
    [InlineData("tiny-v3", "float32")]
    [InlineData("tiny-v3", "bfloat16")]
    [InlineData("tiny-v3-fp8", "bfloat16")]
    public async Task Greedy_ids_part_from_the_cpus_only_at_ties(string model, string dtype)
    {
        var expected = await CudaEngineTests.RunAsync(Options(dtype, model) with { Device = "cpu" }, CudaEngineTests.Requests(24, allLogprobs: true));
        CudaDeepseekEngineTests.AssertEqualButForTies(expected, await CudaEngineTests.RunAsync(Options(dtype, model), CudaEngineTests.Requests(24)));
    }

    [Fact]
    public async Task Most_greedy_float32_ids_are_the_cpus()
    {
        var requests = CudaEngineTests.Requests(24);
        var expected = await CudaEngineTests.RunAsync(Options("float32") with { Device = "cpu" }, requests);
        var actual = await CudaEngineTests.RunAsync(Options("float32"), requests);
        Assert.True(expected.Zip(actual).Count(pair => CudaEngineTests.Ids(pair.First) == CudaEngineTests.Ids(pair.Second)) >= 18);
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
    public async Task Chunks_cached_prefixes_and_preemption_part_from_lone_runs_only_at_ties()
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
            CudaDeepseekEngineTests.AssertEqualButForTies(alone, await chunked.GenerateBatchAsync(CudaEngineTests.Requests(24), cancellationToken: Token));
            CudaDeepseekEngineTests.AssertEqualButForTies(alone, await chunked.GenerateBatchAsync(CudaEngineTests.Requests(24), cancellationToken: Token)); // from cached prefixes
            Assert.True(chunked.Statistics.PrefixCacheHits > 0);
        }

        await using var tight = await SuiteExecutor.LoadAsync(
            Options("bfloat16") with { NumGpuBlocksOverride = 20, MaxModelLen = 256, SchedulerReserveFullIsl = false }, cancellationToken: Token);
        CudaDeepseekEngineTests.AssertEqualButForTies(alone, await tight.GenerateBatchAsync(CudaEngineTests.Requests(24), cancellationToken: Token));
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

    // Both ranks are on one GPU.
    [Theory]
    [InlineData("tp2")]
    [InlineData("pp2")]
    public async Task Two_ranks_part_from_one_only_at_ties(string layout)
    {
        CardRanks.Require(1);
        var expected = await CudaEngineTests.RunAsync(Options("bfloat16"), CudaEngineTests.Requests(16, allLogprobs: true));
        var ranks = RankLayout.Find(layout)!.Of(Options("bfloat16") with { Device = "cuda:0" });
        await using var engine = await LlmEngine.LoadAsync(ranks with { ExecutorFactory = new DeviceExecutorFactory() }, cancellationToken: Token);
        CudaDeepseekEngineTests.AssertEqualButForTies(expected, await engine.GenerateBatchAsync(CudaEngineTests.Requests(16), cancellationToken: Token));
    }

    private static EngineOptions Options(string dtype, string model = "tiny-v3") =>
        new() { ModelPath = TestPaths.Shared("models", model), Dtype = CardTypes.NameOf(dtype), Device = "cuda", KvCacheDtype = "fp8", GpuMemoryUtilization = 0.4 };
}
