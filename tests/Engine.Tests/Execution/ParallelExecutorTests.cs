using System.Text.Json;
using LocalLlm.Execution;
using LocalLlm.Tests.Engine;
using LocalLlm.Tests.Models;
using Xunit;

namespace LocalLlm.Tests.Execution;

/// <summary>
/// Several ranks give the outputs of one rank. Stages change no bit. Ranks that add their parts change the last bits of a logit; they
/// change an id only where two tokens are equally likely but for those bits.
/// </summary>
public class ParallelExecutorTests
{
    private const double ReferenceNoise = 1e-4;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public static TheoryData<string, string> Models
    {
        get
        {
            var data = new TheoryData<string, string>();
            foreach (var model in (string[])["qwen2-tied", "qwen2-untied", "llama-rope-llama3", "llama-head-dim", "qwen3",
                "deepseek-v2-lite", "deepseek-v2-group", "deepseek-v3-no-q-lora", "deepseek-v3-yarn"])
            {
                foreach (var layout in (string[])["tp2", "pp2", "tp2pp2"])
                    data.Add(model, layout);
            }

            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Models))]
    public async Task Greedy_ids_of_a_random_model_are_those_of_the_reference(string name, string layout)
    {
        var folder = TestPaths.Shared("goldens", "random", name);
        await using var engine = await LoadAsync(new() { ModelPath = folder, SkipTokenizerInit = true }, layout);
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
    [InlineData("tiny-r1", "tp2")]
    [InlineData("tiny-r1", "tp4")]
    [InlineData("tiny-r1", "pp2")]
    [InlineData("tiny-r1", "pp3")]
    [InlineData("tiny-r1", "pp8")]
    [InlineData("tiny-r1", "tp2pp2")]
    [InlineData("tiny-v3", "tp2")]
    [InlineData("tiny-v3", "tp4")]
    [InlineData("tiny-v3", "pp2")]
    [InlineData("tiny-v3", "pp5")]
    [InlineData("tiny-v3", "tp2pp2")]
    [InlineData("tiny-v3-fp8", "tp2")]
    [InlineData("tiny-v3-fp8", "tp4")]
    [InlineData("tiny-v3-fp8", "pp2")]
    public async Task Greedy_ids_of_a_trained_model_are_those_of_the_reference(string model, string layout)
    {
        using var golden = JsonDocument.Parse(await File.ReadAllBytesAsync(TestPaths.Shared("goldens", "trained", $"{model}.json"), Token));
        await using var engine = await LoadAsync(new() { ModelPath = TestPaths.Shared("models", model), MaxNumBatchedTokens = 64, MaxNumSeqs = 8 }, layout);
        var prompts = golden.RootElement.GetProperty("prompts").EnumerateArray().Where(prompt => prompt.GetProperty("near_ties").GetArrayLength() == 0).ToArray();
        var outputs = prompts.Select(prompt => GoldenFile.Ints(prompt.GetProperty("output_ids"))).ToArray();
        var results = await engine.GenerateBatchAsync([.. prompts.Zip(outputs, (prompt, output) =>
            GenerationRequest.FromTokenIds(GoldenFile.Ints(prompt.GetProperty("ids")), new() { Temperature = 0, MaxTokens = output.Length }))], cancellationToken: Token);
        Assert.Equal(outputs, results.Select(result => result.Outputs[0].TokenIds));
        Assert.Equal(engine.Statistics.KvBlocksTotal, engine.Statistics.KvBlocksFree);
    }

    [Theory]
    [InlineData("tp2")]
    [InlineData("tp4")]
    [InlineData("tp2pp2")]
    public async Task Every_way_of_choosing_tokens_gives_the_tokens_of_one_rank(string layout)
    {
        await using var one = await LoadAsync(TinyEngine.Options with { MaxNumSeqs = 8, MaxNumBatchedTokens = 64 }, "tp1");
        await using var several = await LoadAsync(TinyEngine.Options with { MaxNumSeqs = 8, MaxNumBatchedTokens = 64 }, layout);
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
    [InlineData("tp2")]
    [InlineData("pp3")]
    [InlineData("tp2pp2")]
    public async Task Preemption_and_cached_prefixes_change_no_token(string layout)
    {
        var options = TinyEngine.Options with { MaxNumSeqs = 6, MaxNumBatchedTokens = 48, MaxModelLen = 128 };
        await using var roomy = await LoadAsync(options, "tp1");
        await using var tight = await LoadAsync(options with { NumGpuBlocksOverride = 14, SchedulerReserveFullIsl = false }, layout);
        var requests = TinyEngine.Requests(10, 60);
        var wanted = await roomy.GenerateBatchAsync(requests, cancellationToken: Token);
        foreach (var _ in (int[])[1, 2])
        {
            var got = await tight.GenerateBatchAsync(requests, cancellationToken: Token);
            Assert.Equal(wanted.Select(result => result.Outputs[0].Text), got.Select(result => result.Outputs[0].Text));
        }

        Assert.True(tight.Statistics.Preemptions > 0);
        Assert.True(tight.Statistics.PrefixCacheHits > 0);
        Assert.Equal(tight.Statistics.KvBlocksTotal, tight.Statistics.KvBlocksFree);
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
