using LocalLlm.Execution;
using LocalLlm.Tests.Execution;
using Xunit;

namespace LocalLlm.Tests.Engine;

/// <summary>
/// Under <see cref="EngineOptions.BatchInvariant"/> a request's tokens and log-probabilities depend only on the request, also in bfloat16.
/// </summary>
public sealed class BatchInvarianceTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    internal static EngineOptions Options => TinyEngine.Options with { Device = "cpu", Dtype = "bfloat16", BatchInvariant = true, Speculation = null };

    public static TheoryData<string, string, string, int> Models => new()
    {
        { "tiny-r1", "tp1", "auto", 256 },
        { "tiny-r1", "tp2", "auto", 128 },
        { "tiny-r1", "tp2pp2", "fp8", 48 },
        { "tiny-r1", "tp1", "fp8", 64 },
        { "tiny-v3", "tp1", "auto", 256 },
        { "tiny-v3", "tp2", "auto", 48 },
        { "tiny-v3-fp8", "tp1", "fp8", 48 },
    };

    /// <summary>
    /// Many requests fill all groups; a lone request runs in the first group. No bit of the outputs shows which group computed them.
    /// </summary>
    [Theory]
    [InlineData("tiny-v3", "dp2", "bfloat16", false)]
    [InlineData("tiny-v3", "dp4", "bfloat16", true)]
    [InlineData("tiny-v3", "tp2dp2", "bfloat16", false)]
    [InlineData("tiny-v3-fp8", "dp2", "bfloat16", true)]
    [InlineData("tiny-v3", "dp2", "float32", false)]
    [InlineData("tiny-v3", "dp2", "float32", true)]
    [InlineData("tiny-v3", "tp2dp2", "float32", true)]
    public async Task A_request_of_any_data_parallel_group_gives_what_a_lone_run_gives(string model, string layout, string dtype, bool whole)
    {
        var options = RankLayout.Find(layout)!.Of(Options with
        {
            ModelPath = TestPaths.Shared("models", model), Dtype = dtype, BatchInvariant = dtype != "float32", EnableExpertParallel = whole, MaxModelLen = 256,
        });
        var requests = Requests(24);
        var alone = new List<string>();
        await using (var engine = await LoadAsync(options with { EnablePrefixCaching = false }))
        {
            foreach (var request in requests)
                alone.AddRange(await RunAsync(engine, [request]));
        }

        await using var crowd = await LoadAsync(options with { LongPrefillTokenThreshold = 13, MaxNumBatchedTokens = 48 });
        Assert.Equal(alone, await RunAsync(crowd, requests));
    }

    [Theory]
    [MemberData(nameof(Models))]
    public async Task A_crowd_with_chunks_cached_prefixes_and_preemption_gives_what_lone_runs_give(string model, string layout, string cache, int count)
    {
        var folder = model == "tiny-r1" ? TestPaths.TinyR1 : TestPaths.Shared("models", model);
        var options = RankLayout.Find(layout)!.Of(Options with { ModelPath = folder, KvCacheDtype = cache, MaxModelLen = 256 });
        var requests = Requests(count);
        var alone = new List<string>();
        await using (var engine = await LoadAsync(options with { EnablePrefixCaching = false, MaxNumSeqs = 1 }))
        {
            foreach (var request in requests)
                alone.AddRange(await RunAsync(engine, [request]));
        }

        await using var crowd = await LoadAsync(options with
        {
            LongPrefillTokenThreshold = 13, MaxNumSeqs = 48, MaxNumBatchedTokens = 97, NumGpuBlocksOverride = 90, SchedulerReserveFullIsl = false,
        });
        Assert.Equal(alone, await RunAsync(crowd, requests));
        Assert.True(crowd.Statistics.Preemptions > 0, "nothing was preempted");
        Assert.True(crowd.Statistics.PrefixCacheHits > 0, "no prefix was cached");

        await using var roomy = await LoadAsync(options);
        Assert.Equal(alone, await RunAsync(roomy, requests));
    }

    /// <summary>Drafts are verified in steps of several rows.</summary>
    [Theory]
    [InlineData("tp1")]
    [InlineData("tp2")]
    public async Task Drafts_change_no_token_and_no_log_probability(string layout)
    {
        var options = RankLayout.Find(layout)!.Of(Options with { MaxNumSeqs = 8 });
        GenerationRequest[] requests = [.. Enumerable.Range(0, 24).Select(i => GenerationRequest.FromChat(
            FactPrompts.Chat(i, 5), new() { Temperature = i % 2 == 0 ? 0 : 0.7, Seed = i, MaxTokens = 80, IgnoreEos = true, Logprobs = 2 }))];
        await using var plain = await LoadAsync(options);
        await using var drafting = await LoadAsync(options with { Speculation = SuiteExecutor.Ngram });
        var alone = new List<string>();
        foreach (var request in requests)
            alone.AddRange(await RunAsync(plain, [request]));
        Assert.Equal(alone, await RunAsync(drafting, requests));
        var figures = drafting.Statistics.Speculation!;
        Assert.True(figures.AcceptedTokens > 50 && figures.AcceptedTokens < figures.DraftTokens, $"{figures}");
    }

    [Fact]
    public async Task A_device_that_adds_in_another_order_for_other_numbers_of_rows_is_refused_before_weights_are_read()
    {
        using var registration = LocalLlm.Ops.DeviceRegistry.Register(new("plain", (_, _) => new LocalLlm.Ops.TorchOps(TorchSharp.torch.CPU)));
        var refusal = await Assert.ThrowsAsync<EngineException>(() => LoadAsync(Options with { Device = "plain" }));
        Assert.Equal(("batch_invariant", EngineErrorKind.InvalidOptions), (refusal.Parameter, refusal.Kind));
        Assert.Contains("on CPUs only, and device is", refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void An_encoder_refuses_it_by_name()
    {
        var refusal = Assert.Throws<EngineException>(() => EngineOptionsValidator.ValidateEncoder(new() { ModelPath = TestPaths.TinyM3, BatchInvariant = true }));
        Assert.Equal("batch_invariant", refusal.Parameter);
    }

    internal static GenerationRequest[] Requests(int count) =>
        [.. TinyEngine.Requests(count, 20).Select((request, i) => request with
        {
            Sampling = request.Sampling with { Logprobs = 3, PromptLogprobs = i % 8 == 1 ? 2 : null },
        })];

    internal static async Task<string[]> RunAsync(LlmEngine engine, IReadOnlyList<GenerationRequest> requests)
    {
        var results = await engine.GenerateBatchAsync(requests, cancellationToken: Token);
        return [.. results.Select((result, i) => $"{requests[i].PromptTokenIds?.Count} {result.Error} {Shown(result.Outputs[0])} {string.Join(';', result.PromptLogprobs?.Select(Shown) ?? [])}")];
    }

    private static string Shown(CompletionOutput output) =>
        $"{output.FinishReason} [{string.Join(' ', output.TokenIds)}] {string.Join(';', output.Logprobs?.Select(Shown) ?? [])}";

    // Shows every digit of the numbers.
    private static string Shown(TokenLogprobs? position) => position is null ? "none" : $"{position.Chosen} {string.Join(',', position.Top)}";

    internal static Task<LlmEngine> LoadAsync(EngineOptions options) =>
        LlmEngine.LoadAsync(options with { ExecutorFactory = new DeviceExecutorFactory() }, cancellationToken: Token);
}
