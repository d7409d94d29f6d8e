using System.Text.Json;
using LocalLlm.Execution;
using LocalLlm.Tests.Engine;
using LocalLlm.Tests.Models;
using LocalLlm.Tests.Models.Deepseek;
using Xunit;
using static TorchSharp.torch;

namespace LocalLlm.Tests.Execution;

/// <summary>Experts that have copies and change their ranks give the outputs of experts that stay, up to the rounding of sums.</summary>
public class ExpertBalancingTests
{
    private const double ReferenceNoise = 1e-4;

    // Experts move every third step, by the loads of the two steps before it.
    private static readonly ExpertBalancingOptions s_often = new() { WindowSize = 2, StepInterval = 3 };

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public static TheoryData<string, string, int> RandomModels
    {
        get
        {
            var data = new TheoryData<string, string, int>();
            foreach (var model in Directory.GetDirectories(TestPaths.Shared("goldens", "random"), "deepseek*").Select(Path.GetFileName).Order())
            {
                foreach (var (layout, redundant) in ((string, int)[])[("tp2", 0), ("dp2", 4), ("tp2dp2", 8), ("pp2dp2", 2)])
                    data.Add(model!, layout, redundant);
            }

            return data;
        }
    }

    [Theory]
    [MemberData(nameof(RandomModels))]
    public async Task Greedy_ids_of_a_random_model_are_those_of_the_reference(string name, string layout, int redundant)
    {
        var folder = TestPaths.Shared("goldens", "random", name);
        await using var engine = await LoadAsync(new() { ModelPath = folder, SkipTokenizerInit = true }, layout, s_often with { NumRedundantExperts = redundant });
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
    [InlineData("tiny-v3", "tp2", 0)]
    [InlineData("tiny-v3", "dp4", 8)]
    [InlineData("tiny-v3", "tp2dp2", 24)] // every expert on every rank
    [InlineData("tiny-v3-fp8", "dp2", 4)]
    public async Task Greedy_ids_of_a_trained_model_are_those_of_the_reference(string model, string layout, int redundant)
    {
        using var golden = JsonDocument.Parse(await File.ReadAllBytesAsync(TestPaths.Shared("goldens", "trained", $"{model}.json"), Token));
        await using var engine = await LoadAsync(
            new() { ModelPath = TestPaths.Shared("models", model), MaxNumBatchedTokens = 64, MaxNumSeqs = 8 }, layout, s_often with { NumRedundantExperts = redundant });
        var prompts = golden.RootElement.GetProperty("prompts").EnumerateArray().Where(prompt => prompt.GetProperty("near_ties").GetArrayLength() == 0).ToArray();
        var outputs = prompts.Select(prompt => GoldenFile.Ints(prompt.GetProperty("output_ids"))).ToArray();
        var results = await engine.GenerateBatchAsync([.. prompts.Zip(outputs, (prompt, output) =>
            GenerationRequest.FromTokenIds(GoldenFile.Ints(prompt.GetProperty("ids")), new() { Temperature = 0, MaxTokens = output.Length }))], cancellationToken: Token);
        Assert.Equal(outputs, results.Select(result => result.Outputs[0].TokenIds));
    }

    // The biases send every token to the same two of six experts. Both experts begin on the same rank of two.
    [Theory]
    [InlineData(false, 0, 0.5)]
    [InlineData(true, 0, 1)]
    [InlineData(true, 2, 1)]
    public async Task Ranks_compute_as_much_once_busy_experts_have_moved(bool balances, int redundant, double balance)
    {
        using var folder = new DeepseekFolder(changeWeights: weights =>
        {
            foreach (var name in weights.Keys.Where(name => name.EndsWith("e_score_correction_bias", StringComparison.Ordinal)).ToArray())
                weights[name] = tensor([-9f, -9f, -9f, -9f, 9f, 9f]);
        });
        // An interval that is never reached: the engine counts the ranks' loads and moves nothing.
        var interval = balances ? 2 : 1_000_000;
        await using var engine = await LoadAsync(
            new() { ModelPath = folder.Path, SkipTokenizerInit = true }, "dp2", new() { NumRedundantExperts = redundant, WindowSize = 1, StepInterval = interval });
        await TinyEngine.RunAsync(engine, Requests(8, maxTokens: 100));
        // The balance includes the steps before the first move.
        Assert.InRange(engine.Statistics.ExpertBalance!.Value, balances ? 0.8 * balance : balance, balance + 1e-9);
    }

    [Theory]
    [InlineData("tp2")]
    [InlineData("dp2")]
    public async Task Until_experts_move_without_copies_every_bit_is_that_of_experts_that_stay(string layout)
    {
        var options = new EngineOptions { ModelPath = TestPaths.Shared("models", "tiny-v3"), MaxNumSeqs = 4 };
        await using var still = await LoadAsync(options, layout, null);
        await using var later = await LoadAsync(options, layout, new() { WindowSize = 1, StepInterval = 1_000_000 });
        var request = GenerationRequest.FromTokenIds([5, 17, 3, 99, 42], new() { Temperature = 0, MaxTokens = 30, Logprobs = 2, IgnoreEos = true });
        var (wanted, got) = ((await still.CompleteAsync(request, Token)).Outputs[0], (await later.CompleteAsync(request, Token)).Outputs[0]);
        Assert.Equal(wanted.Logprobs!.Select(one => one!.Chosen.Logprob), got.Logprobs!.Select(one => one!.Chosen.Logprob));
    }

    [Fact]
    public async Task Experts_of_the_models_own_drafting_layer_move_too()
    {
        using var folder = new DeepseekFolder(config => config["num_nextn_predict_layers"] = 1, weights => DeepseekFolder.AddPrediction(weights, 1, 1));
        var options = new EngineOptions { ModelPath = folder.Path, SkipTokenizerInit = true };
        await using var plain = await LoadAsync(options, "tp2", null);
        await using var moved = await LoadAsync(
            options with { Speculation = new() { Method = "mtp", NumSpeculativeTokens = 2 } }, "tp2", s_often with { NumRedundantExperts = 4 });
        Assert.Equal(await TinyEngine.RunAsync(plain, Requests(4)), await TinyEngine.RunAsync(moved, Requests(4)));
        Assert.True(moved.Statistics.Speculation!.DraftTokens > 0);
    }

    /// <summary>A place that held an expert of 8-bit floats cannot take an expert that is stored in another way.</summary>
    [Theory]
    [InlineData(false, "model.layers.2.mlp.experts.3")]
    [InlineData(false, "model.layers.2.mlp.experts.0.down_proj", "model.layers.2.mlp.experts.5.down_proj")]
    [InlineData(true, "model.layers.3.mlp.experts.1", "eh_proj")]
    public async Task Experts_that_are_stored_in_different_ways_are_refused_before_weights_are_read(bool predicts, params string[] kept)
    {
        using var folder = new DeepseekFolder(config => config["num_nextn_predict_layers"] = 1, weights => DeepseekFolder.AddPrediction(weights, 1, 1));
        using var mixed = new Fp8Folder(folder.Path, 16, 16, kept: kept);
        var options = new EngineOptions
        {
            ModelPath = mixed.Path, SkipTokenizerInit = true, Speculation = predicts ? new() { Method = "mtp", NumSpeculativeTokens = 1 } : null,
        };
        var refusal = await Assert.ThrowsAsync<EngineException>(() => LoadAsync(options, "tp2", new()));
        Assert.Equal((EngineErrorKind.InvalidOptions, "enable_eplb"), (refusal.Kind, refusal.Parameter));
        Assert.Contains($"keeps some experts of layer {(predicts ? 3 : 2)} unquantised and others not", refusal.Message, StringComparison.Ordinal);
        await using var still = await LoadAsync(options, "tp2", null);
    }

    [Fact]
    public async Task Experts_of_layers_that_are_stored_in_different_ways_move_within_their_layers()
    {
        using var folder = new DeepseekFolder();
        using var quantised = new Fp8Folder(folder.Path, 16, 16, kept: ["model.layers.1.mlp.experts", .. Enumerable.Range(0, 6).Select(expert => $"model.layers.2.mlp.experts.{expert}.down_proj")]);
        await using var moved = await LoadAsync(new() { ModelPath = quantised.Path, SkipTokenizerInit = true }, "dp2", s_often with { NumRedundantExperts = 2 });
        await using var still = await LoadAsync(new() { ModelPath = quantised.Path, SkipTokenizerInit = true }, "dp2", null);
        Assert.Equal(await TinyEngine.RunAsync(still, Requests(4)), await TinyEngine.RunAsync(moved, Requests(4)));
    }

    [Theory]
    [InlineData("tiny-v3", "dp2", 4)]
    [InlineData("tiny-v3-fp8", "dp2", 4)]
    public async Task Bfloat16_answers_are_as_likely_as_on_one_rank_while_experts_move(string model, string layout, int redundant)
    {
        var options = new EngineOptions { ModelPath = TestPaths.Shared("models", model) };
        var alone = options with { Device = "cpu", Dtype = "bfloat16" };
        var expected = await CudaEngineTests.RunAsync(alone, CudaEngineTests.Requests(32, allLogprobs: true));
        await using var moved = await LoadAsync(options, layout, s_often with { NumRedundantExperts = redundant }, "bfloat16");
        var answers = await moved.GenerateBatchAsync(CudaEngineTests.Requests(32), cancellationToken: Token);
        await ScoredAnswers.AssertAsLikelyAsync(moved, expected, Token);
        CudaDeepseekEngineTests.AssertEqualButForTies(expected, answers);
    }

    private static GenerationRequest[] Requests(int count, int maxTokens = 24) => [.. Enumerable.Range(0, count).Select(i =>
        GenerationRequest.FromTokenIds([5 + i, 17, 3, 99, 42, 8, 8, 61 - i], new() { Temperature = 0, MaxTokens = maxTokens, IgnoreEos = true }))];

    private static Task<LlmEngine> LoadAsync(EngineOptions options, string layout, ExpertBalancingOptions? balancing, string dtype = "float32") => LlmEngine.LoadAsync(
        RankLayout.Find(layout)!.Of(options) with
        {
            Device = "cpu", Dtype = dtype, EnableExpertParallel = true, ExpertBalancing = balancing, ExecutorFactory = new DeviceExecutorFactory(),
        },
        cancellationToken: Token);
}
