using LocalLlm.Models;
using LocalLlm.Ops;
using LocalLlm.Ops.Cpu;
using LocalLlm.Ops.Cuda;
using LocalLlm.Tests.Engine;
using LocalLlm.Tests.Execution;
using Xunit;
using static TorchSharp.torch;

namespace LocalLlm.Tests.Models.Latent;

/// <summary>
/// The family of docs/guides/adding-a-model.md: one latent cache tensor, keys and values of unequal width, several weight types in one
/// checkpoint, a first layer of another kind. It is registered for the whole process, so no other test may run meanwhile.
/// </summary>
[Collection(nameof(RunsAlone))]
public sealed class LatentFamilyTests : IDisposable
{
    private const float Tolerance = 1e-4f;
    private static readonly int[] PromptLengths = [1, 5, 16, 17, 60, 60];
    private readonly IDisposable _registration = ModelRegistry.Register(LatentFamily.Family);
    private readonly LatentFolder _folder = new();

    public void Dispose()
    {
        _folder.Dispose();
        _registration.Dispose();
    }

    [Theory]
    [InlineData("cpu")]
    [InlineData("cuda")]
    public async Task The_engine_generates_what_the_plain_reference_does(string device)
    {
        SuiteExecutor.SkipInAnotherProcess();
        if (device == "cuda" && !CudaDevice.IsUsable())
            Assert.Skip("no NVIDIA card, or a libtorch without CUDA");
        const int count = 24;
        // With few tokens a step, long prompts are computed in chunks, in steps shared with other sequences.
        var options = new EngineOptions { ModelPath = _folder.Path, Device = device, SkipTokenizerInit = true, MaxNumBatchedTokens = 32 };
        await using var engine = await SuiteExecutor.LoadAsync(options, cancellationToken: TestContext.Current.CancellationToken);
        var sampling = new SamplingParams { Temperature = 0, MaxTokens = count, IgnoreEos = true };
        var prompts = PromptLengths.Select(length => Prompt(length, seed: length)).ToArray();
        var results = await engine.GenerateBatchAsync([.. prompts.Select(prompt => GenerationRequest.FromTokenIds(prompt, sampling))],
            cancellationToken: TestContext.Current.CancellationToken);
        foreach (var (prompt, result) in prompts.Zip(results))
        {
            Assert.Null(result.Error);
            var (ids, margin) = LatentReference.Greedy(_folder.Values, prompt, count);
            Assert.True(margin > Tolerance, "two tokens are so near that rounding decides; choose another prompt");
            Assert.Equal(ids, result.Outputs[0].TokenIds);
        }

        Assert.Equal(engine.Statistics.KvBlocksTotal, engine.Statistics.KvBlocksFree);
    }

    [Fact]
    public async Task A_family_that_builds_whole_models_alone_is_not_split_into_stages()
    {
        SuiteExecutor.SkipInAnotherProcess();
        var options = new EngineOptions { ModelPath = _folder.Path, Device = "cpu", SkipTokenizerInit = true, PipelineParallel = 2 };
        var refusal = await Assert.ThrowsAsync<EngineException>(() => SuiteExecutor.LoadAsync(options, cancellationToken: TestContext.Current.CancellationToken));
        Assert.Equal((EngineErrorKind.InvalidOptions, "pipeline_parallel_size"), (refusal.Kind, refusal.Parameter));
    }

    [Theory]
    [InlineData(int.MaxValue)]
    [InlineData(1)]
    [InlineData(7)]
    public void Logits_are_the_plain_references_whole_and_in_chunks(int chunk)
    {
        foreach (var ops in (IDeviceOps[])[new CpuOps(), new TorchOps(CPU)])
        {
            using var model = new BareModel(_folder.Path, ops, ScalarType.Float32, LatentFolder.Positions);
            var ids = Prompt(50, seed: 1);
            var actual = model.LastLogits(ids, chunk);
            Assert.True(LatentReference.LastLogits(_folder.Values, ids).Zip(actual)
                .Max(pair => MathF.Abs(pair.First - pair.Second)) < Tolerance);
        }
    }

    [Fact]
    public void A_block_takes_what_each_layer_says()
    {
        const int first = LatentFolder.Heads * (LatentFolder.KeyWidth + LatentFolder.ValueWidth);
        const int perToken = first + ((LatentFolder.LayerCount - 1) * LatentFolder.LatentWidth);
        var plan = LlmEngine.PlanMemory(new() { ModelPath = _folder.Path, Device = "cpu" });
        Assert.Equal(AttentionMetadata.BlockSize * perToken * sizeof(float), plan.BytesPerBlock);
    }

    [Fact]
    public void A_matrix_of_another_type_than_its_method_reads_is_refused_by_name()
    {
        const string name = "layers.1.mlp.up_proj.weight";
        using var folder = new LatentFolder(stored => stored[name] = stored[name].to(float32));
        var error = Assert.Throws<EngineException>(() => LlmEngine.PlanMemory(new() { ModelPath = folder.Path, Device = "cpu" }));
        Assert.Contains($"{name} has type F32, wanted I8", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Its_own_fields_are_refused_by_name()
    {
        var path = Path.Combine(_folder.Path, ModelConfig.FileName);
        File.WriteAllText(path, File.ReadAllText(path)
            .Replace("\"latent_width\":20", "\"latent_width\":\"20\"", StringComparison.Ordinal));
        Assert.Contains("latent_width: found '20'", Assert.Throws<EngineException>(() => ModelConfig.Load(_folder.Path)).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void A_family_is_known_while_it_is_registered_and_only_once()
    {
        Assert.Contains("LatentForCausalLM", Assert.Throws<ArgumentException>(() =>
            ModelRegistry.Register(LatentFamily.Family)).Message, StringComparison.Ordinal);
        Assert.IsType<LatentConfig>(ModelConfig.Load(_folder.Path));
        _registration.Dispose();
        Assert.Contains("'LatentForCausalLM', which this build does not support",
            Assert.Throws<EngineException>(() => ModelConfig.Load(_folder.Path)).Message, StringComparison.Ordinal);
    }

    private static int[] Prompt(int length, int seed)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, length).Select(_ => random.Next(LatentFolder.Vocabulary))];
    }
}
