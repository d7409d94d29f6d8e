using LocalLlm.Interop;
using LocalLlm.Tests.Execution;
using LocalLlm.Weights;
using Xunit;
using static TorchSharp.torch;

namespace LocalLlm.Tests.Weights;

/// <summary>Random weights for a model whose folder holds none.</summary>
public sealed class DummyWeightsTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public DummyWeightsTests()
    {
        TorchLibrary.EnsureLoaded();
        File.Copy(Path.Combine(TestPaths.TinyR1, "config.json"), _folder["config.json"]);
    }

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    private EngineOptions Options => new() { ModelPath = _folder.Path, LoadFormat = "dummy", SkipTokenizerInit = true, Device = "cpu", Dtype = "float32", NumGpuBlocksOverride = 64, MaxModelLen = 256 };

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData(2, 1)]
    [InlineData(1, 2)]
    [InlineData(2, 2)]
    public async Task A_configuration_alone_generates_the_same_ids_however_it_is_split(int tensorParallel, int pipelineParallel)
    {
        var expected = await IdsAsync(Options);
        Assert.True(expected.Distinct().Count() > 1);
        Assert.Equal(expected, await IdsAsync(Options with { TensorParallel = tensorParallel, PipelineParallel = pipelineParallel }));
    }

    [Theory]
    [InlineData("bfloat16")]
    [InlineData("auto")]
    public async Task Other_types_generate_too(string dtype) => Assert.Equal(16, (await IdsAsync(Options with { Dtype = dtype })).Length);

    [Fact]
    public async Task An_encoder_embeds_with_its_dense_head_alone()
    {
        using var folder = new TemporaryFolder();
        Directory.CreateDirectory(folder["1_Pooling"]);
        foreach (var file in (string[])["config.json", "modules.json", "tokenizer.json", "tokenizer_config.json", "sentence_bert_config.json", "1_Pooling/config.json"])
            File.Copy(Path.Combine(TestPaths.TinyM3, file), folder[file]);
        await using var engine = await EmbeddingEngine.LoadAsync(new() { ModelPath = folder.Path, LoadFormat = "dummy", Device = "cpu" }, cancellationToken: Token);
        var embedding = await engine.EmbedAsync("Where is the server?", cancellationToken: Token);
        Assert.All(embedding.Dense!, value => Assert.True(float.IsFinite(value)));
        Assert.Equal(EmbeddingKinds.Dense, engine.Kinds);
    }

    [Fact]
    public async Task Without_dummy_a_configuration_alone_is_no_model()
    {
        var failure = await Assert.ThrowsAsync<EngineException>(() => SuiteExecutor.LoadAsync(Options with { LoadFormat = "auto" }, cancellationToken: Token));
        Assert.Contains("but no weights (model.safetensors)", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Other_formats_are_refused_by_name()
    {
        var failure = await Assert.ThrowsAsync<EngineException>(() => SuiteExecutor.LoadAsync(Options with { LoadFormat = "gguf" }, cancellationToken: Token));
        Assert.Equal("load_format is 'gguf'; allowed: auto, safetensors, dummy.", failure.Message);
    }

    [Fact]
    public async Task Safetensors_alone_refuses_a_pickle()
    {
        var options = new EngineOptions { ModelPath = TestPaths.TinyM3, LoadFormat = "safetensors", Device = "cpu" };
        var failure = await Assert.ThrowsAsync<EngineException>(() => EmbeddingEngine.LoadAsync(options, cancellationToken: Token));
        Assert.Contains("PyTorch's own format, but load_format is safetensors", failure.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public void Slices_are_parts_of_the_whole(int dimension)
    {
        var whole = Make(WeightSpec.Whole("a.weight", 6, 10));
        var half = (dimension == 0 ? 6 : 10) / 2;
        var parts = Enumerable.Range(0, 2).Select(i => Make(new WeightSpec("a.weight", [6, 10], dimension, i * half, half))).ToArray();
        Assert.Equal(whole.data<float>().ToArray(), cat(parts, dimension).data<float>().ToArray());
        Assert.NotEqual(whole.data<float>().ToArray(), Make(WeightSpec.Whole("b.weight", 6, 10)).data<float>().ToArray());
        Assert.InRange(whole.abs().max().item<float>(), 0.001f, 0.02f);
    }

    [Fact]
    public void Weights_of_norms_are_about_one_and_slices_of_a_vector_fit_too()
    {
        var whole = Make(WeightSpec.Whole("norm.weight", 100)).data<float>().ToArray();
        Assert.All(whole, value => Assert.InRange(value, 0.97f, 1.03f));
        Assert.Equal(whole[40..70], Make(new WeightSpec("norm.weight", [100], 0, 40, 30)).data<float>().ToArray());
    }

    [Theory]
    [InlineData(nameof(SafetensorsDtype.F8E4M3), 0x7F)]
    [InlineData(nameof(SafetensorsDtype.F8E5M2), 0x7C)]
    public void Eight_bit_floats_are_numbers(string type, int firstThatIsNone)
    {
        var bytes = Make(WeightSpec.Whole("q.weight", 64, 64) with { Type = WeightType.AsStored(Enum.Parse<SafetensorsDtype>(type)) }).data<byte>().ToArray();
        Assert.All(bytes, one => Assert.True((one & 0x7F) < firstThatIsNone));
        Assert.True(bytes.Distinct().Count() > 20);
        Assert.Contains(bytes, one => one > 0x7F);
    }

    private async Task<int[]> IdsAsync(EngineOptions options)
    {
        await using var engine = await SuiteExecutor.LoadAsync(options, cancellationToken: Token);
        var result = await engine.CompleteAsync(GenerationRequest.FromTokenIds([5, 6, 7], new() { Temperature = 0, MaxTokens = 16, IgnoreEos = true, Detokenize = false }), Token);
        return [.. result.Outputs[0].TokenIds];
    }

    private static Tensor Make(WeightSpec spec)
    {
        using var registry = new WeightRegistry();
        Tensor? made = null;
        registry.Add(spec, tensor => made = tensor.clone().DetachFromDisposeScope());
        DummyWeights.Load(registry, CPU, ScalarType.Float32, WeightPacking.Compact, null, Token);
        return made!.clone();
    }
}
