using System.Text.Json;
using LocalLlm.Execution;
using LocalLlm.Tests.Execution;
using LocalLlm.Tests.Models;
using Xunit;

namespace LocalLlm.Tests.Engine;

/// <summary>
/// With 8-bit floats in the KV cache a request's tokens still depend only on the request, and the cache holds twice as many tokens.
/// </summary>
public sealed class Float8CacheTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    private static EngineOptions Options => TinyEngine.Options with { Device = "cpu", KvCacheDtype = "fp8" };

    [Fact]
    public async Task Batches_chunks_cached_prefixes_and_preemption_give_the_ids_of_lone_runs()
    {
        var requests = TinyEngine.Requests(24, 60);
        var alone = new List<int[]>();
        await using (var engine = await LoadAsync(Options with { EnablePrefixCaching = false }))
        {
            foreach (var request in requests)
                alone.AddRange(await TinyEngine.RunAsync(engine, [request]));
            Assert.Equal(alone, await TinyEngine.RunAsync(engine, requests));
        }

        foreach (var chunk in (int[])[1, 7, 64])
        {
            await using var chunked = await LoadAsync(Options with { LongPrefillTokenThreshold = chunk });
            Assert.Equal(alone, await TinyEngine.RunAsync(chunked, requests));
            Assert.Equal(alone, await TinyEngine.RunAsync(chunked, requests)); // from cached prefixes
            Assert.True(chunked.Statistics.PrefixCacheHits > 0);
        }

        await using var tight = await LoadAsync(Options with { NumGpuBlocksOverride = 20, MaxModelLen = 256, SchedulerReserveFullIsl = false });
        Assert.Equal(alone, await TinyEngine.RunAsync(tight, requests));
        Assert.True(tight.Statistics.Preemptions > 0);
        Assert.Equal(tight.Statistics.KvBlocksTotal, tight.Statistics.KvBlocksFree);
    }

    [Fact]
    public async Task The_answers_are_not_those_of_an_unquantised_cache_to_the_last_digit()
    {
        var request = GenerationRequest.FromTokenIds([.. Enumerable.Range(5, 60)], new() { Temperature = 0, MaxTokens = 1, Logprobs = 1, IgnoreEos = true });
        await using var plain = await LoadAsync(Options with { KvCacheDtype = "auto" });
        await using var quantised = await LoadAsync(Options);
        var (wanted, got) = (await plain.CompleteAsync(request, Token), await quantised.CompleteAsync(request, Token));
        var difference = Math.Abs(wanted.Outputs[0].Logprobs![0].Chosen.Logprob - got.Outputs[0].Logprobs![0].Chosen.Logprob);
        Assert.InRange(difference, 1e-6, 1);
    }

    [Theory]
    [InlineData("tp2")]
    [InlineData("pp2")]
    [InlineData("tp2pp2")]
    public Task Ranks_give_the_ids_of_one(string layout) => AssertSameIdsAsync(TestPaths.TinyR1, "tiny-r1", layout);

    [Theory]
    [InlineData("tp1")]
    [InlineData("tp2")]
    [InlineData("pp2")]
    public Task Latent_vectors_give_the_ids_of_one_rank_and_of_lone_runs(string layout) =>
        AssertSameIdsAsync(TestPaths.Shared("models", "tiny-v3"), "tiny-v3", layout);

    [Theory]
    [InlineData("bfloat16", 1.8)]
    [InlineData("float32", 3.6)]
    public void As_many_bytes_hold_nearly_as_many_times_the_tokens(string dtype, double times)
    {
        var options = Options with { Dtype = dtype, KvCacheMemoryBytes = 8 << 20 };
        var (plain, quantised) = (LlmEngine.PlanMemory(options with { KvCacheDtype = "auto" }), LlmEngine.PlanMemory(options));
        Assert.InRange((double)quantised.NumBlocks / plain.NumBlocks, times, 1.1 * times);
    }

    [Theory]
    [InlineData("fp8_e5m2")]
    [InlineData("bfloat16")]
    [InlineData("")]
    public async Task A_type_that_the_cache_cannot_have_is_refused_with_those_it_can(string dtype)
    {
        var refusal = await Assert.ThrowsAsync<EngineException>(() => LoadAsync(Options with { KvCacheDtype = dtype }));
        Assert.Equal(("kv_cache_dtype", EngineErrorKind.InvalidOptions), (refusal.Parameter, refusal.Kind));
        Assert.Contains($"kv_cache_dtype is '{dtype}'; allowed: auto (the type of the computation), fp8, fp8_e4m3", refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void An_encoder_has_no_cache_to_quantise()
    {
        var refusal = Assert.Throws<EngineException>(() => EngineOptionsValidator.ValidateEncoder(Options));
        Assert.Equal("kv_cache_dtype", refusal.Parameter);
    }

    private static async Task AssertSameIdsAsync(string folder, string model, string layout)
    {
        using var golden = JsonDocument.Parse(await File.ReadAllBytesAsync(TestPaths.Shared("goldens", "trained", $"{model}.json"), Token));
        // Several ranks add in another order, which decides between equally likely tokens: such prompts are left out.
        var requests = golden.RootElement.GetProperty("prompts").EnumerateArray()
            .Where(prompt => prompt.GetProperty("near_ties").GetArrayLength() == 0)
            .Select(prompt => GenerationRequest.FromTokenIds(GoldenFile.Ints(prompt.GetProperty("ids")), new() { Temperature = 0, MaxTokens = 60 })).ToArray();
        var options = Options with { ModelPath = folder, MaxNumSeqs = 8 };
        await using var one = await LoadAsync(options);
        await using var several = await LoadAsync(RankLayout.Find(layout)!.Of(options) with { MaxNumBatchedTokens = 64, NumGpuBlocksOverride = 120, MaxModelLen = 1024 });
        var alone = new List<int[]>();
        foreach (var request in requests)
            alone.AddRange(await TinyEngine.RunAsync(one, [request]));
        Assert.Equal(alone, await TinyEngine.RunAsync(several, requests));
    }

    private static Task<LlmEngine> LoadAsync(EngineOptions options) =>
        LlmEngine.LoadAsync(options with { ExecutorFactory = new DeviceExecutorFactory() }, cancellationToken: Token);
}
