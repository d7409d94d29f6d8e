using System.Text.Json;
using LocalLlm.Execution;
using LocalLlm.Tests.Engine;
using LocalLlm.Tests.Models;
using Xunit;

namespace LocalLlm.Tests.Execution;

/// <summary>
/// Data-parallel groups give the outputs of one rank. Each group computes attention for its own sequences. All groups share the experts,
/// whose sums are rounded in another order.
/// </summary>
public class DataParallelTests
{
    private const double ReferenceNoise = 1e-4;

    private static readonly string[] s_layouts = ["dp2", "dp4", "tp2dp2", "pp2dp2"];

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    private static string V3 => TestPaths.Shared("models", "tiny-v3");

    public static TheoryData<string, string, bool> RandomModels
    {
        get
        {
            var data = new TheoryData<string, string, bool>();
            foreach (var model in Directory.GetDirectories(TestPaths.Shared("goldens", "random"), "deepseek*").Select(Path.GetFileName).Order())
            {
                foreach (var layout in s_layouts)
                {
                    data.Add(model!, layout, false);
                    data.Add(model!, layout, true);
                }
            }

            return data;
        }
    }

    public static TheoryData<string, string, bool> TrainedModels
    {
        get
        {
            var data = new TheoryData<string, string, bool>();
            foreach (var layout in s_layouts)
            {
                data.Add("tiny-v3", layout, false);
                data.Add("tiny-v3", layout, true);
            }

            data.Add("tiny-v3-fp8", "dp2", true);
            data.Add("tiny-v3-fp8", "tp2dp2", false);
            return data;
        }
    }

    [Theory]
    [MemberData(nameof(RandomModels))]
    public async Task Greedy_ids_of_a_random_model_are_those_of_the_reference(string name, string layout, bool whole)
    {
        var folder = TestPaths.Shared("goldens", "random", name);
        await using var engine = await LoadAsync(new() { ModelPath = folder, SkipTokenizerInit = true, EnableExpertParallel = whole }, layout);
        var cases = new GoldenFile(folder).Cases.Where(golden => golden.MinMargin > ReferenceNoise).ToArray();
        var results = await engine.GenerateBatchAsync([.. cases.Select(golden =>
            GenerationRequest.FromTokenIds(golden.Ids, new() { Temperature = 0, MaxTokens = golden.Greedy.Length, IgnoreEos = true }))], cancellationToken: Token);
        foreach (var (golden, result) in cases.Zip(results))
        {
            Assert.Null(result.Error);
            Assert.Equal(golden.Greedy, result.Outputs[0].TokenIds);
        }
    }

    [Theory]
    [MemberData(nameof(TrainedModels))]
    public async Task Greedy_ids_of_a_trained_model_are_those_of_the_reference(string model, string layout, bool whole)
    {
        using var golden = JsonDocument.Parse(await File.ReadAllBytesAsync(TestPaths.Shared("goldens", "trained", $"{model}.json"), Token));
        await using var engine = await LoadAsync(
            new() { ModelPath = TestPaths.Shared("models", model), MaxNumBatchedTokens = 64, MaxNumSeqs = 8, EnableExpertParallel = whole }, layout);
        var prompts = golden.RootElement.GetProperty("prompts").EnumerateArray().Where(prompt => prompt.GetProperty("near_ties").GetArrayLength() == 0).ToArray();
        var outputs = prompts.Select(prompt => GoldenFile.Ints(prompt.GetProperty("output_ids"))).ToArray();
        var results = await engine.GenerateBatchAsync([.. prompts.Zip(outputs, (prompt, output) =>
            GenerationRequest.FromTokenIds(GoldenFile.Ints(prompt.GetProperty("ids")), new() { Temperature = 0, MaxTokens = output.Length }))], cancellationToken: Token);
        Assert.Equal(outputs, results.Select(result => result.Outputs[0].TokenIds));
        Assert.Equal(engine.Statistics.KvBlocksTotal, engine.Statistics.KvBlocksFree);
    }

    [Theory]
    [InlineData("dp2", true)]
    [InlineData("tp2dp2", false)]
    [InlineData("pp2dp2", true)]
    public async Task Every_way_of_choosing_tokens_gives_the_tokens_of_one_rank(string layout, bool whole)
    {
        var options = new EngineOptions { ModelPath = V3, MaxNumSeqs = 8, MaxNumBatchedTokens = 64, EnableExpertParallel = whole };
        await using var one = await LoadAsync(options, "tp1");
        await using var several = await LoadAsync(options, layout);
        var requests = ExecutorTests.Requests();
        var wanted = await one.GenerateBatchAsync(requests, cancellationToken: Token);
        var got = await several.GenerateBatchAsync(requests, cancellationToken: Token);
        for (var i = 0; i < requests.Length; i++)
        {
            Assert.Null(got[i].Error);
            Assert.Equal(wanted[i].Outputs.Select(output => output.Text), got[i].Outputs.Select(output => output.Text));
            Assert.Equal(wanted[i].Outputs.Select(output => output.FinishReason), got[i].Outputs.Select(output => output.FinishReason));
            AssertNear(wanted[i].PromptLogprobs, got[i].PromptLogprobs);
            foreach (var (a, b) in wanted[i].Outputs.Zip(got[i].Outputs))
                AssertNear(a.Logprobs, b.Logprobs);
        }
    }

    [Theory]
    [InlineData("dp2", false)]
    [InlineData("tp2dp2", true)]
    [InlineData("pp2dp2", true)]
    public async Task Preemption_and_cached_prefixes_change_no_token(string layout, bool whole)
    {
        var options = new EngineOptions { ModelPath = V3, MaxNumSeqs = 6, MaxNumBatchedTokens = 48, MaxModelLen = 128, EnableExpertParallel = whole };
        await using var roomy = await LoadAsync(options, "tp1");
        await using var tight = await LoadAsync(options with { NumGpuBlocksOverride = 11, SchedulerReserveFullIsl = false }, layout);
        var requests = TinyEngine.Requests(12, 40);
        var wanted = await roomy.GenerateBatchAsync(requests, cancellationToken: Token);
        foreach (var _ in (int[])[1, 2])
        {
            var got = await tight.GenerateBatchAsync(requests, cancellationToken: Token);
            Assert.Equal(wanted.Select(result => result.Outputs[0].Text), got.Select(result => result.Outputs[0].Text));
        }

        Assert.True(tight.Statistics.Preemptions > 0);
        Assert.True(tight.Statistics.PrefixCacheHits > 0);
        Assert.Equal((22, 22), (tight.Statistics.KvBlocksTotal, tight.Statistics.KvBlocksFree));
    }

    [Theory]
    [InlineData("dp2", false)]
    [InlineData("pp2dp2", true)]
    public async Task Drafts_that_are_looked_up_change_no_token(string layout, bool whole)
    {
        var options = new EngineOptions { ModelPath = V3, MaxNumSeqs = 8, MaxNumBatchedTokens = 64, EnableExpertParallel = whole, Speculation = null };
        await using var one = await LoadAsync(options, "tp1");
        await using var several = await LoadAsync(options with { Speculation = SuiteExecutor.Ngram }, layout);
        var requests = TinyEngine.Requests(10, 48);
        var wanted = await one.GenerateBatchAsync(requests, cancellationToken: Token);
        var got = await several.GenerateBatchAsync(requests, cancellationToken: Token);
        Assert.Equal(wanted.Select(result => result.Outputs[0].Text), got.Select(result => result.Outputs[0].Text));
        Assert.True(several.Statistics.Speculation!.AcceptedTokens > 0);
    }

    /// <summary>As on GPUs: the tokens of a step become inputs of the next step before the host knows them.</summary>
    [Theory]
    [InlineData("dp2")]
    [InlineData("tp2dp2")]
    public async Task Running_ahead_changes_no_token(string layout)
    {
        var options = new EngineOptions { ModelPath = V3, MaxNumSeqs = 3, MaxNumBatchedTokens = 48, EnableExpertParallel = true };
        await using var one = await LoadAsync(options, "tp1");
        AheadExecutor? ahead = null;
        await using var several = await LlmEngine.LoadAsync(
            RankLayout.Find(layout)!.Of(options) with { Device = "cpu", Dtype = "float32", ExecutorFactory = new DecoratingFactory(inner => ahead = new(inner)) },
            cancellationToken: Token);
        var requests = TinyEngine.Requests(16, 40);
        var wanted = await one.GenerateBatchAsync(requests, cancellationToken: Token);
        var got = await several.GenerateBatchAsync(requests, cancellationToken: Token);
        Assert.Equal(wanted.Select(result => result.Outputs[0].Text), got.Select(result => result.Outputs[0].Text));
        Assert.True(ahead!.NumFedTokens > 0);
    }

    [Fact]
    public async Task A_sequence_alone_gets_its_tokens_while_the_other_groups_have_none()
    {
        var options = new EngineOptions { ModelPath = V3, EnableExpertParallel = true, NumGpuBlocksOverride = 16 };
        await using var one = await LoadAsync(options, "tp1");
        await using var several = await LoadAsync(options, "dp4");
        var request = TinyEngine.Requests(1, 40)[0];
        var wanted = await one.CompleteAsync(request, Token);
        Assert.Equal(wanted.Outputs[0].TokenIds, (await several.CompleteAsync(request, Token)).Outputs[0].TokenIds);
        Assert.Equal(64, several.Statistics.KvBlocksTotal);
        Assert.Equal(one.Statistics.ExpertBalance!.Value, several.Statistics.ExpertBalance!.Value, 1e-9); // each token counts once, whichever rank computes it
        Assert.Equal(64, (await several.MapKvBlocksAsync(1000)).Length);
    }

    [Fact]
    public async Task The_log_says_that_a_KV_cache_is_each_groups()
    {
        using var logs = new CollectedLogs();
        var options = new EngineOptions { ModelPath = V3, NumGpuBlocksOverride = 16, LoggerFactory = logs };
        await using (await LoadAsync(options, "dp2"))
            Assert.Contains(logs.Notices, notice => notice.Contains("the KV cache holds 256 tokens in each of 2 groups; ", StringComparison.Ordinal));
        await using (await LoadAsync(options, "tp1"))
            Assert.Contains(logs.Notices, notice => notice.Contains("the KV cache holds 256 tokens; ", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Aborted_sequences_leave_their_group_and_change_no_others()
    {
        var options = new EngineOptions { ModelPath = V3, MaxNumSeqs = 4, MaxNumBatchedTokens = 32, EnableExpertParallel = true };
        await using var one = await LoadAsync(options, "tp1");
        await using var several = await LoadAsync(options, "dp2");
        var kept = TinyEngine.Requests(6, 40);
        var wanted = await one.GenerateBatchAsync(kept, cancellationToken: Token);
        using var leaving = CancellationTokenSource.CreateLinkedTokenSource(Token);
        var dropped = TinyEngine.Requests(6, 400, seed: 2).Select(request => several.CompleteAsync(request, leaving.Token)).ToArray();
        var running = several.GenerateBatchAsync(kept, cancellationToken: Token);
        await leaving.CancelAsync();
        foreach (var task in dropped)
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => task);
        Assert.Equal(wanted.Select(result => result.Outputs[0].Text), (await running).Select(result => result.Outputs[0].Text));
        await several.CompleteAsync(kept[0], Token);
        Assert.Equal(several.Statistics.KvBlocksTotal, several.Statistics.KvBlocksFree);
        Assert.True(several.IsAlive);
    }

    [Theory]
    [InlineData("mtp", "data_parallel_size is 2, but speculative_config has the method mtp")]
    [InlineData("processes", "data_parallel_size is 2, but distributed_executor_backend is processes")]
    [InlineData("dense", "data_parallel_size is 2, but the model has no experts")]
    public async Task What_groups_cannot_do_is_refused_by_name(string what, string says)
    {
        var options = new EngineOptions
        {
            ModelPath = what == "dense" ? TestPaths.TinyR1 : V3, Device = "cpu", DataParallel = 2,
            Speculation = what == "mtp" ? new() { Method = "mtp", NumSpeculativeTokens = 1 } : null,
            DistributedExecutorBackend = what == "processes" ? "processes" : "auto",
            ExecutorFactory = new DeviceExecutorFactory(),
        };
        var refusal = await Assert.ThrowsAsync<EngineException>(() => LlmEngine.LoadAsync(options, cancellationToken: Token));
        Assert.Equal(EngineErrorKind.InvalidOptions, refusal.Kind);
        Assert.Contains(says, refusal.Message, StringComparison.Ordinal);
    }

    private static Task<LlmEngine> LoadAsync(EngineOptions options, string layout) => LlmEngine.LoadAsync(
        RankLayout.Find(layout)!.Of(options) with { Device = "cpu", Dtype = "float32", ExecutorFactory = new DeviceExecutorFactory() }, cancellationToken: Token);

    private static void AssertNear(IReadOnlyList<TokenLogprobs?>? wanted, IReadOnlyList<TokenLogprobs?>? got)
    {
        Assert.Equal(wanted?.Count, got?.Count);
        foreach (var (a, b) in (wanted ?? []).Zip(got ?? []))
        {
            Assert.Equal(a?.Chosen.TokenId, b?.Chosen.TokenId);
            if (a is not null)
                Assert.Equal(a.Chosen.Logprob, b!.Chosen.Logprob, ReferenceNoise);
        }
    }
}
