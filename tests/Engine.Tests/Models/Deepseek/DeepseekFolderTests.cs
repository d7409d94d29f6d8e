using System.Text.Json.Nodes;
using LocalLlm.Interop;
using LocalLlm.Ops;
using LocalLlm.Ops.Cpu;
using LocalLlm.Tests.Execution;
using LocalLlm.Tests.Ops;
using Xunit;
using static TorchSharp.torch;

namespace LocalLlm.Tests.Models.Deepseek;

/// <summary>DeepSeek folders that the tests write: what the model computes from them, and which ones are refused.</summary>
public class DeepseekFolderTests
{
    private const float Tolerance = 1e-4f;
    private const string Expert = "model.layers.1.mlp.experts.3.up_proj.weight";

    private static readonly int[] s_prompt = [5, 17, 3, 99, 42, 8, 8, 61, 23, 77, 104, 2, 50, 31, 90, 12, 66, 7, 19];

    // what is changed, words that the message must contain
    public static TheoryData<string, string[]> BadFolders => new()
    {
        { "expert missing", [$"missing {Expert} [28, 48]"] },
        { "bias missing", ["missing model.layers.2.mlp.gate.e_score_correction_bias [6]"] },
        { "latent projection missing", ["missing model.layers.0.self_attn.kv_b_proj.weight [88, 20]"] },
        { "latent norm of another width", ["model.layers.1.self_attn.kv_a_layernorm.weight", "[21]", "[20]"] },
        { "expert of another shape", [Expert, "[48, 28]", "[28, 48]"] },
        { "router for more experts", ["model.layers.1.mlp.gate.weight", "[7, 48]", "[6, 48]"] },
        { "expert in whole numbers", [Expert, "I32", "F32, F16 or BF16"] },
        { "one expert more", ["model.layers.1.mlp.experts.6.up_proj.weight"] },
        { "experts in a dense layer", ["model.layers.0.mlp.gate.weight"] },
        { "layer behind the last without prediction", ["model.layers.3.input_layernorm.weight"] },
    };

    [Fact]
    public void The_cpus_kernels_give_the_logits_of_the_plain_operations()
    {
        using var folder = new DeepseekFolder();
        using var fast = new BareModel(folder.Path, new CpuOps(), ScalarType.Float32);
        using var plain = new BareModel(folder.Path, new TorchOps(CPU), ScalarType.Float32);
        foreach (var chunk in (int[])[int.MaxValue, 1, 7])
            Assert.True(plain.LastLogits(s_prompt, chunk).Zip(fast.LastLogits(s_prompt, chunk)).Max(pair => MathF.Abs(pair.First - pair.Second)) < Tolerance);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(4)]
    public async Task Whole_experts_on_each_rank_give_what_parts_of_all_of_them_give(int ranks)
    {
        using var folder = new DeepseekFolder();
        Assert.Equal(await GenerateAsync(folder, new()), await GenerateAsync(folder, new() { TensorParallel = ranks, EnableExpertParallel = true }));
    }

    [Fact]
    public async Task Six_experts_over_four_ranks_are_two_two_one_and_one()
    {
        // Splitting every expert over the ranks needs a width that divides evenly; whole experts do not.
        using var folder = new DeepseekFolder(
            config => config["moe_intermediate_size"] = 27,
            weights =>
            {
                foreach (var (name, weight) in weights.ToArray())
                {
                    if (name.Contains(".experts.", StringComparison.Ordinal))
                        weights[name] = weight.narrow(name.Contains("down", StringComparison.Ordinal) ? 1 : 0, 0, 27);
                    else if (name.Contains("shared_experts", StringComparison.Ordinal))
                        weights.Remove(name);
                }
            });
        var path = System.IO.Path.Combine(folder.Path, "config.json");
        var config = JsonNode.Parse(await File.ReadAllTextAsync(path, TestContext.Current.CancellationToken))!;
        config["n_shared_experts"] = 0;
        await File.WriteAllTextAsync(path, config.ToJsonString(), TestContext.Current.CancellationToken);

        var refusal = await Assert.ThrowsAsync<EngineException>(() => GenerateAsync(folder, new() { TensorParallel = 4 }));
        Assert.Contains("moe_intermediate_size (27) is not divisible by 4", refusal.Message, StringComparison.Ordinal);
        Assert.Equal(await GenerateAsync(folder, new()), await GenerateAsync(folder, new() { TensorParallel = 4, EnableExpertParallel = true }));
    }

    [Fact]
    public async Task Expert_parallelism_is_refused_where_there_are_no_experts_or_fewer_than_ranks()
    {
        using var dense = new DeepseekFolder(config => config["n_routed_experts"] = null);
        var refusal = await Assert.ThrowsAsync<EngineException>(() => GenerateAsync(dense, new() { EnableExpertParallel = true }));
        Assert.Equal("enable_expert_parallel", refusal.Parameter);
        Assert.Contains("the model has no experts", refusal.Message, StringComparison.Ordinal);

        using var few = new DeepseekFolder(config => (config["n_routed_experts"], config["n_group"], config["topk_group"]) = (2, 1, 1));
        refusal = await Assert.ThrowsAsync<EngineException>(() => GenerateAsync(few, new() { TensorParallel = 4, EnableExpertParallel = true }));
        Assert.Contains("the model's 2 experts are fewer than the 4 ranks of a stage", refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Layers_of_multi_token_prediction_are_left_in_the_file()
    {
        using var folder = new DeepseekFolder(
            config => config["num_nextn_predict_layers"] = 1,
            weights =>
            {
                foreach (var name in weights.Keys.Where(name => name.StartsWith("model.layers.2.", StringComparison.Ordinal)).ToArray())
                    weights[name.Replace(".2.", ".3.", StringComparison.Ordinal)] = weights[name];
                weights["model.layers.3.eh_proj.weight"] = zeros(DeepseekFolder.Hidden, 2 * DeepseekFolder.Hidden);
            });
        using var model = new BareModel(folder.Path, new CpuOps(), ScalarType.Float32);
        using var plain = new DeepseekFolder();
        using var same = new BareModel(plain.Path, new CpuOps(), ScalarType.Float32);
        Assert.Equal(same.LastLogits(s_prompt), model.LastLogits(s_prompt));
    }

    [Theory]
    [MemberData(nameof(BadFolders))]
    public void Bad_weights_are_refused_by_name_before_any_is_read(string change, string[] words)
    {
        using var folder = new DeepseekFolder(changeWeights: weights => Change(weights, change));
        var error = Assert.Throws<EngineException>(() => LlmEngine.PlanMemory(new() { ModelPath = folder.Path, Device = "cpu" }));
        Assert.Equal(EngineErrorKind.ModelFolder, error.Kind);
        Assert.All(words, word => Assert.Contains(word, error.Message, StringComparison.Ordinal));
    }

    // The routers' biases send every token to the same two of six experts.
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Two_experts_that_compute_everything_are_a_third_of_an_even_load(bool whole)
    {
        using var folder = new DeepseekFolder(changeWeights: weights =>
        {
            foreach (var name in weights.Keys.Where(name => name.EndsWith("e_score_correction_bias", StringComparison.Ordinal)).ToArray())
                weights[name] = tensor([-9f, -9f, -9f, -9f, 9f, 9f]);
        });
        SuiteExecutor.SkipInAnotherProcess();
        await using var engine = await SuiteExecutor.LoadAsync(
            new()
            {
                ModelPath = folder.Path, Device = "cpu", SkipTokenizerInit = true, TensorParallel = whole ? 2 : 1, EnableExpertParallel = whole,
                ExecutorFactory = new LocalLlm.Execution.DeviceExecutorFactory(),
            },
            cancellationToken: TestContext.Current.CancellationToken);
        Assert.Null(engine.Statistics.ExpertBalance);
        await engine.CompleteAsync(GenerationRequest.FromTokenIds(s_prompt, new() { Temperature = 0, MaxTokens = 24, IgnoreEos = true }), TestContext.Current.CancellationToken);
        Assert.Equal(2.0 / 6, engine.Statistics.ExpertBalance!.Value, 1e-9);
    }

    // This simulates a card's fault, which the next step would report.
    [Fact]
    public async Task Counts_of_experts_that_cannot_be_read_end_no_request()
    {
        SuiteExecutor.SkipInAnotherProcess();
        using var folder = new DeepseekFolder();
        using var registration = DeviceRegistry.Register(new("counting", (_, _) => new UnreadableCounts(new CpuOps())));
        var logs = new CollectedLogs();
        var options = new EngineOptions
        {
            ModelPath = folder.Path, Device = "counting", SkipTokenizerInit = true, LoggerFactory = logs,
            ExecutorFactory = new LocalLlm.Execution.DeviceExecutorFactory(),
        };
        await using var engine = await LlmEngine.LoadAsync(options, cancellationToken: TestContext.Current.CancellationToken);
        var request = GenerationRequest.FromTokenIds(s_prompt, new() { Temperature = 0, MaxTokens = 9, IgnoreEos = true });
        for (var i = 0; i < 2; i++)
            Assert.Equal(9, (await engine.CompleteAsync(request, TestContext.Current.CancellationToken)).Outputs[0].TokenIds.Count);
        Assert.Null(engine.Statistics.ExpertBalance);
        Assert.Single(logs.Warnings, warning => warning.StartsWith("The device's counts of its experts' tokens could not be read", StringComparison.Ordinal));
    }

    [Fact]
    public void What_ran_before_the_first_request_does_not_count()
    {
        using var folder = new DeepseekFolder();
        using var bare = new BareModel(folder.Path, new CpuOps(), ScalarType.Float32);
        bare.LastLogits(s_prompt);
        var balance = bare.Model.ExpertBalance!.Value;
        bare.Model.ReadExpertUsage(); // the CPU already counts on the host
        Assert.Equal(balance, bare.Model.ExpertBalance);
        bare.Model.ForgetExpertUsage();
        Assert.Null(bare.Model.ExpertBalance);
        bare.LastLogits(s_prompt);
        Assert.Equal(balance, bare.Model.ExpertBalance);
    }

    [Fact]
    public void Steps_are_recorded_only_where_a_device_takes_all_experts_and_latent_attention()
    {
        using var folder = new DeepseekFolder();
        using var bare = new BareModel(folder.Path, new CpuOps(), ScalarType.Float32);
        Assert.Equal(0, bare.Model.MaxRecordedRows);
    }

    [Fact]
    public void Routers_that_always_choose_the_same_experts_are_least_balanced()
    {
        var usage = new LocalLlm.Layers.ExpertUsage();
        Assert.Null(usage.Balance);
        var (even, one) = (usage.AddLayer(4), usage.AddLayer(4));
        usage.AddLayer(4); // not used yet
        (even[0], even[1], even[2], even[3]) = (5, 5, 5, 5);
        one[2] = 20;
        Assert.Equal((1 + 0.25) / 2, usage.Balance);
    }

    [Fact]
    public void A_token_keeps_one_latent_row_on_every_rank()
    {
        using var folder = new DeepseekFolder();
        var plan = LlmEngine.PlanMemory(new() { ModelPath = folder.Path, Device = "cpu" });
        Assert.Equal(AttentionMetadata.BlockSize * DeepseekFolder.LayerCount * (20 + 6) * sizeof(float), plan.BytesPerBlock);
    }

    private static void Change(Dictionary<string, Tensor> weights, string change)
    {
        TorchLibrary.EnsureLoaded();
        switch (change)
        {
            case "expert missing":
                weights.Remove(Expert);
                break;
            case "bias missing":
                weights.Remove("model.layers.2.mlp.gate.e_score_correction_bias");
                break;
            case "latent projection missing":
                weights.Remove("model.layers.0.self_attn.kv_b_proj.weight");
                break;
            case "latent norm of another width":
                weights["model.layers.1.self_attn.kv_a_layernorm.weight"] = ones(21);
                break;
            case "expert of another shape":
                weights[Expert] = weights[Expert].t();
                break;
            case "router for more experts":
                weights["model.layers.1.mlp.gate.weight"] = ones(7, DeepseekFolder.Hidden);
                break;
            case "expert in whole numbers":
                weights[Expert] = ones(28, DeepseekFolder.Hidden, ScalarType.Int32);
                break;
            case "one expert more":
                weights["model.layers.1.mlp.experts.6.up_proj.weight"] = weights[Expert];
                break;
            case "experts in a dense layer":
                weights["model.layers.0.mlp.gate.weight"] = weights["model.layers.1.mlp.gate.weight"];
                break;
            default:
                weights["model.layers.3.input_layernorm.weight"] = ones(DeepseekFolder.Hidden);
                break;
        }
    }

    private static async Task<IReadOnlyList<int>> GenerateAsync(DeepseekFolder folder, EngineOptions options)
    {
        SuiteExecutor.SkipInAnotherProcess();
        await using var engine = await SuiteExecutor.LoadAsync(
            options with { ModelPath = folder.Path, Device = "cpu", Dtype = "float32", SkipTokenizerInit = true, ExecutorFactory = new LocalLlm.Execution.DeviceExecutorFactory() },
            cancellationToken: TestContext.Current.CancellationToken);
        var request = GenerationRequest.FromTokenIds(s_prompt, new() { Temperature = 0, MaxTokens = 24, IgnoreEos = true });
        var result = (await engine.GenerateBatchAsync([request, request], cancellationToken: TestContext.Current.CancellationToken))[1];
        Assert.Null(result.Error);
        return result.Outputs[0].TokenIds;
    }

    private sealed class UnreadableCounts(IDeviceOps inner) : PrimitiveOps(inner), IDeviceOps, IExpertOps
    {
        private readonly IExpertOps _experts = inner.Features.Experts!;

        DeviceFeatures IDeviceOps.Features => Features with { Experts = this };

        public ExpertChoices Route(Tensor logits, Tensor? bias, ExpertRouting routing, bool joinsShared = false) => _experts.Route(logits, bias, routing, joinsShared);

        public Tensor Sum(Tensor x, ExpertGroups groups, Tensor weights, IExperts experts) => _experts.Sum(x, groups, weights, experts);

        public void ReadUsage(IReadOnlyList<CountedExperts> layers) => throw new InvalidOperationException("the card is gone");
    }
}
