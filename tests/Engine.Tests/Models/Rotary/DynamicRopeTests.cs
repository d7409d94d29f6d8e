using System.Text.Json.Nodes;
using LocalLlm.Interop;
using LocalLlm.Ops.Cpu;
using LocalLlm.Tests.Execution;
using LocalLlm.Weights;
using Xunit;
using static TorchSharp.torch;

namespace LocalLlm.Tests.Models.Rotary;

/// <summary>A rope that stretches with the length of the sequence, on random weights that the test creates.</summary>
public sealed class DynamicRopeTests : IDisposable
{
    private const int Trained = 32;
    private const double Factor = 4;
    private const double Theta = 10_000;
    private const int HeadDim = 16;
    private readonly string _folder = Directory.CreateTempSubdirectory("localllm-test-").FullName;

    public DynamicRopeTests()
    {
        TorchLibrary.EnsureLoaded();
        WriteWeights();
    }

    [Theory]
    [InlineData(20)]
    [InlineData(32)]
    [InlineData(33)]
    [InlineData(100)]
    public void A_prompt_is_rotated_with_the_frequencies_of_its_own_length(int length)
    {
        var ids = Enumerable.Range(0, length).Select(i => (i * 37) % 64).ToArray();
        // The same rotation written as a plain rope with the stretched base.
        var stretch = (Factor * Math.Max(length, Trained) / Trained) - (Factor - 1);
        WriteConfig(new JsonObject { ["rope_theta"] = Theta * Math.Pow(stretch, HeadDim / (HeadDim - 2.0)), ["max_position_embeddings"] = 128 });
        float[] expected;
        using (var plain = new BareModel(_folder, new CpuOps(), ScalarType.Float32, 128))
            expected = plain.LastLogits(ids);
        WriteDynamicConfig();
        using var dynamic = new BareModel(_folder, new CpuOps(), ScalarType.Float32, 128);
        var actual = dynamic.LastLogits(ids);
        Assert.True(expected.Zip(actual).Max(pair => MathF.Abs(pair.First - pair.Second)) < 1e-5f);
        Assert.Equal(actual, dynamic.LastLogits(ids, chunk: 7));
    }

    [Fact]
    public async Task Cached_prefixes_of_long_prompts_are_used_only_at_the_same_length()
    {
        WriteDynamicConfig();
        var options = new EngineOptions { ModelPath = _folder, Dtype = "float32", SkipTokenizerInit = true };
        var sampling = new SamplingParams { Temperature = 0, MaxTokens = 12, IgnoreEos = true };
        var requests = new[] { 40, 48, 56, 96, 48, 30 }.Select(length => GenerationRequest.FromTokenIds([.. Enumerable.Range(0, length).Select(i => (i * 37) % 64)], sampling)).ToArray();
        await using var uncached = await SuiteExecutor.LoadAsync(options with { EnablePrefixCaching = false }, cancellationToken: TestContext.Current.CancellationToken);
        await using var cached = await SuiteExecutor.LoadAsync(options, cancellationToken: TestContext.Current.CancellationToken);
        Assert.Equal(128, cached.MaxModelLen);
        foreach (var request in requests)
        {
            var expected = await uncached.CompleteAsync(request, TestContext.Current.CancellationToken);
            var actual = await cached.CompleteAsync(request, TestContext.Current.CancellationToken);
            Assert.Equal(expected.Outputs[0].TokenIds, actual.Outputs[0].TokenIds);
        }

        Assert.True(cached.Statistics.PrefixCacheHits > 0, "the repeated length hit nothing");
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private void WriteDynamicConfig() => WriteConfig(new JsonObject
    {
        ["rope_theta"] = Theta,
        ["max_position_embeddings"] = Trained,
        ["rope_scaling"] = new JsonObject { ["type"] = "dynamic", ["factor"] = Factor },
    });

    private void WriteConfig(JsonObject rope)
    {
        var config = new JsonObject
        {
            ["architectures"] = new JsonArray("LlamaForCausalLM"),
            ["model_type"] = "llama",
            ["hidden_size"] = 32,
            ["intermediate_size"] = 48,
            ["num_hidden_layers"] = 2,
            ["num_attention_heads"] = 2,
            ["num_key_value_heads"] = 1,
            ["head_dim"] = HeadDim,
            ["vocab_size"] = 64,
            ["rms_norm_eps"] = 1e-6,
            ["hidden_act"] = "silu",
            ["tie_word_embeddings"] = true,
            ["torch_dtype"] = "float32",
        };
        foreach (var (name, value) in rope)
            config[name] = value?.DeepClone();
        File.WriteAllText(Path.Combine(_folder, "config.json"), config.ToJsonString());
    }

    private unsafe void WriteWeights()
    {
        using var scope = NewDisposeScope();
        manual_seed(1);
        var tensors = new Dictionary<string, Tensor> { ["model.embed_tokens.weight"] = randn(64, 32), ["model.norm.weight"] = ones(32) };
        for (var layer = 0; layer < 2; layer++)
        {
            foreach (var (name, rows, columns) in new[] { ("self_attn.q_proj", 32, 32), ("self_attn.k_proj", 16, 32), ("self_attn.v_proj", 16, 32), ("self_attn.o_proj", 32, 32), ("mlp.gate_proj", 48, 32), ("mlp.up_proj", 48, 32), ("mlp.down_proj", 32, 48) })
                tensors[$"model.layers.{layer}.{name}.weight"] = randn(rows, columns) * 0.3;
            tensors[$"model.layers.{layer}.input_layernorm.weight"] = ones(32);
            tensors[$"model.layers.{layer}.post_attention_layernorm.weight"] = ones(32);
        }

        using var writer = SafetensorsWriter.Create(Path.Combine(_folder, "model.safetensors"), [.. tensors.Select(tensor => new TensorSpec(tensor.Key, SafetensorsDtype.F32, tensor.Value.shape))]);
        foreach (var tensor in tensors.Values)
            writer.Write(new ReadOnlySpan<byte>(tensor.contiguous().DataPointer(), (int)(tensor.numel() * sizeof(float))));
        writer.Complete();
    }
}
