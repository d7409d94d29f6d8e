using System.Text.Json;
using LocalLlm.Interop;
using LocalLlm.Layers;
using LocalLlm.Models;
using LocalLlm.Ops;
using LocalLlm.Ops.Cpu;
using LocalLlm.Parallel;
using LocalLlm.Tests.Execution;
using LocalLlm.Weights;
using Xunit;
using static TorchSharp.torch;

namespace LocalLlm.Tests.Models;

/// <summary>A checkpoint in 8-bit floats gives the results of the same values in float32, and generates the same tokens.</summary>
public sealed class Fp8ModelTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("qwen2-tied", 128, 128, "Float32")]
    [InlineData("qwen2-untied", 32, 48, "PowersOfTwo")]
    [InlineData("llama-rope-llama3", 16, 16, "Exponents")]
    [InlineData("llama-head-dim", 48, 24, "Float32")]
    [InlineData("qwen3", 24, 32, "Exponents")]
    [InlineData("qwen2-untied", 0, 0, "Channels")]
    [InlineData("llama-head-dim", 0, 0, "Matrices")]
    public void Logits_are_those_of_the_same_values_in_float32(string name, int rows, int columns, string storage)
    {
        TorchLibrary.EnsureLoaded();
        var source = TestPaths.Shared("goldens", "random", name);
        using var folder = new Fp8Folder(source, rows, columns, Enum.Parse<ScaleStorage>(storage));
        using var wanted = new BareModel(folder.PlainPath, new CpuOps(), ScalarType.Float32);
        using var fast = new BareModel(folder.Path, new CpuOps(), ScalarType.Float32);
        using var plain = new BareModel(folder.Path, new TorchOps(CPU), ScalarType.Float32);
        using var narrow = new BareModel(folder.Path, new CpuOps(), ScalarType.BFloat16);
        using var wantedNarrow = new BareModel(folder.PlainPath, new CpuOps(), ScalarType.BFloat16);
        foreach (var (ids, _, _, _) in new GoldenFile(source).Cases)
        {
            var logits = wanted.LastLogits(ids);
            Assert.InRange(Distance(logits, fast.LastLogits(ids)), 0, 1e-5);
            Assert.InRange(Distance(logits, plain.LastLogits(ids)), 0, 1e-5);
            // The bound is one and a half times what bfloat16 itself costs in everything that is not a product with a quantised matrix.
            Assert.InRange(Distance(logits, narrow.LastLogits(ids)), 0, 1.5 * Distance(logits, wantedNarrow.LastLogits(ids)));
        }

        var longest = new GoldenFile(source).Cases.Last().Ids;
        Assert.Equal(fast.LastLogits(longest), fast.LastLogits(longest, 7));
    }

    [Fact]
    public void Saying_fp8_once_more_changes_nothing_and_anything_else_is_refused_by_name()
    {
        var source = TestPaths.Shared("goldens", "random", "qwen2-untied");
        using var folder = new Fp8Folder(source);
        var options = new EngineOptions { ModelPath = folder.Path, Device = "cpu", Dtype = "float32", SkipTokenizerInit = true, KvCacheMemoryBytes = 1 << 20 };
        Assert.Equal(LlmEngine.PlanMemory(options) with { AvailableBytes = 0, BudgetBytes = 0 }, LlmEngine.PlanMemory(options with { Quantization = "fp8" }) with { AvailableBytes = 0, BudgetBytes = 0 });
        foreach (var (path, method, says) in (IReadOnlyList<(string, string, string)>)
            [(folder.Path, "awq", "quantization is 'awq'; allowed: none, fp8"), (source, "fp8", "quantization is fp8, but config.json has no quantization_config")])
        {
            var refusal = Assert.Throws<EngineException>(() => LlmEngine.PlanMemory(options with { ModelPath = path, Quantization = method }));
            Assert.Equal(("quantization", EngineErrorKind.InvalidOptions), (refusal.Parameter, refusal.Kind));
            Assert.Contains(says, refusal.Message, StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData("qwen2-untied", 1, 1, null, "Float32")]
    [InlineData("qwen2-untied", 2, 1, null, "Float32")]
    [InlineData("llama-rope-llama3", 2, 2, null, "Exponents")]
    [InlineData("qwen3", 1, 1, "model.layers.1", "Float32")]
    [InlineData("qwen3", 2, 1, "mlp", "Float32")]
    [InlineData("qwen3", 2, 1, null, "Channels")]
    [InlineData("qwen2-tied", 2, 1, null, "Matrices")]
    public async Task Greedy_ids_are_those_of_the_same_values_in_float32(string name, int tensor, int pipeline, string? kept, string storage)
    {
        var source = TestPaths.Shared("goldens", "random", name);
        using var folder = new Fp8Folder(source, 40, 24, Enum.Parse<ScaleStorage>(storage), kept: kept is null ? null : [kept]);
        var requests = new GoldenFile(source).Cases.Select(golden =>
            GenerationRequest.FromTokenIds(golden.Ids, new() { Temperature = 0, MaxTokens = 12, IgnoreEos = true })).ToArray();
        await using var wanted = await LoadAsync(folder.PlainPath, 1, 1);
        await using var engine = await LoadAsync(folder.Path, tensor, pipeline);
        foreach (var request in requests)
        {
            var (expected, result) = (await wanted.CompleteAsync(request, Token), await engine.CompleteAsync(request, Token));
            Assert.Equal(expected.Outputs[0].TokenIds, result.Outputs[0].TokenIds);
        }
    }

    [Theory]
    [InlineData("qwen2-untied", "float32", 1)]
    [InlineData("qwen2-untied", "bfloat16", 1)]
    [InlineData("qwen3", "bfloat16", 2)]
    [InlineData("qwen3", "bfloat16", 2, "Channels")]
    [InlineData("qwen3", "float32", 2, "Matrices")]
    public async Task The_memory_that_is_planned_counts_a_byte_an_element(string name, string dtype, int tensor, string storage = "Float32")
    {
        using var folder = new Fp8Folder(TestPaths.Shared("goldens", "random", name), 32, 32, Enum.Parse<ScaleStorage>(storage));
        EngineOptions Options(string path) => new() { ModelPath = path, Device = "cpu", Dtype = dtype, TensorParallel = tensor, SkipTokenizerInit = true, KvCacheMemoryBytes = 1 << 20 };
        var (loaded, plain) = (LlmEngine.PlanMemory(Options(folder.Path)), LlmEngine.PlanMemory(Options(folder.PlainPath)));
        var planned = (await ModelPlanner.PlanAsync(new() { Options = Options(folder.Path) }, Token)).Ranks[0];
        Assert.Equal(loaded.WeightBytes, planned.WeightBytes);
        Assert.True(loaded.WeightBytes < 0.7 * plain.WeightBytes, $"{loaded.WeightBytes} of {plain.WeightBytes}");
    }

    [Fact]
    public async Task Weights_that_do_not_fit_the_configuration_are_reported_in_one_error()
    {
        using var folder = new Fp8Folder(TestPaths.Shared("goldens", "random", "qwen3"), 32, 32);
        var config = Path.Combine(folder.Path, "config.json");
        await File.WriteAllTextAsync(config, (await File.ReadAllTextAsync(config, Token)).Replace("\"weight_block_size\":[32,32]", "\"weight_block_size\":[32,16]", StringComparison.Ordinal), Token);
        var error = await Assert.ThrowsAsync<EngineException>(() => LoadAsync(folder.Path, 1, 1));
        Assert.Equal(EngineErrorKind.ModelFolder, error.Kind);
        Assert.Contains("the weights do not fit config.json", error.Message, StringComparison.Ordinal);
        Assert.Contains("q_proj.weight_scale_inv has shape [", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_checkpoint_that_was_quantised_elsewhere_has_the_values_of_its_original()
    {
        TorchLibrary.EnsureLoaded();
        using var scope = NewDisposeScope();
        using var document = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(TestPaths.Shared("models", "tiny-v3-fp8"), "config.json")));
        var stored = QuantizationConfigReader.Read(new(document.RootElement, "", new("config.json")))!;
        using var quantised = Checkpoint.Open(TestPaths.Shared("models", "tiny-v3-fp8"));
        using var original = Checkpoint.Open(TestPaths.Shared("models", "tiny-v3"));
        using var registry = new WeightRegistry();
        using var originals = new WeightRegistry();
        var context = new LayerContext(new TorchOps(CPU), new SingleRankCollectives(), registry, ScalarType.Float32) { LinearMethod = stored.CreateLinearMethod() };
        var pairs = new List<(string Name, LoadedWeight<Tensor> Values, LoadedWeight<Tensor> Original)>();
        foreach (var (name, tensor) in quantised.Tensors.Where(tensor => tensor.Value.Info.Dtype == SafetensorsDtype.F8E4M3))
        {
            Assert.False(stored.Keeps(name[..^".weight".Length]), name);
            var spec = WeightSpec.Whole(name, tensor.Info.Shape);
            pairs.Add((name, context.LinearMethod.AddValues(context, spec, (values, _) => context.Ops.ToDevice(values)), originals.Add(spec, context.Ops.ToDevice)));
        }

        registry.Ignore(_ => true);
        originals.Ignore(_ => true);
        WeightLoader.Load(registry, quantised, ScalarType.Float32, null, null, Token);
        WeightLoader.Load(originals, original, ScalarType.Float32, null, null, Token);
        Assert.NotEmpty(pairs);
        foreach (var (name, values, wanted) in pairs)
        {
            // With three mantissa bits, rounding changes one number by up to 2^-4 of it, and the matrix as a whole by much less.
            var error = (values.Value - wanted.Value).norm().item<float>() / wanted.Value.norm().item<float>();
            Assert.True(error < 0.04, $"{name}: {error}");
        }
    }

    private static double Distance(float[] wanted, float[] got) =>
        Math.Sqrt(wanted.Zip(got).Sum(pair => Math.Pow(pair.First - pair.Second, 2)) / wanted.Sum(value => (double)value * value));

    private static Task<LlmEngine> LoadAsync(string folder, int tensor, int pipeline) => SuiteExecutor.LoadAsync(
        new() { ModelPath = folder, Device = "cpu", Dtype = "float32", TensorParallel = tensor, PipelineParallel = pipeline, SkipTokenizerInit = true }, cancellationToken: Token);
}
