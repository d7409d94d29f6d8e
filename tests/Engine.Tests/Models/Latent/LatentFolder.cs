using System.Text.Json.Nodes;
using LocalLlm.Interop;
using LocalLlm.Tests.Weights;
using LocalLlm.Weights;
using static TorchSharp.torch;

namespace LocalLlm.Tests.Models.Latent;

/// <summary>A model folder of the latent family with random weights: float32, bfloat16, and 8 bits with scales.</summary>
internal sealed class LatentFolder : IDisposable
{
    public const int Hidden = 32;
    public const int LayerCount = 3;
    public const int Heads = 2;
    public const int KeyWidth = 12;
    public const int ValueWidth = 6;
    public const int LatentWidth = 20;
    public const int Intermediate = 48;
    public const int Vocabulary = 96;
    public const int Positions = 160;
    private readonly TemporaryFolder _folder = new();
    private readonly Dictionary<string, Tensor> _stored = [];
    private readonly Dictionary<string, Tensor> _values = [];

    /// <param name="change">Changes the stored tensors, by name.</param>
    public LatentFolder(Action<Dictionary<string, Tensor>>? change = null)
    {
        TorchLibrary.EnsureLoaded();
        using var scope = NewDisposeScope();
        var generator = new Generator(5, CPU);
        Float("embed.weight", Vocabulary, Hidden);
        Float("positions.weight", Positions, Hidden);
        for (var layer = 0; layer < LayerCount; layer++)
            AddLayer($"layers.{layer}", layer == 0);
        Float("norm.weight", Hidden);
        Float("head.weight", Vocabulary, Hidden);
        change?.Invoke(_stored);
        WriteWeights();
        WriteConfig();

        void AddLayer(string prefix, bool isFirst)
        {
            Float($"{prefix}.attention_norm.weight", Hidden);
            Float($"{prefix}.mlp_norm.weight", Hidden);
            BFloat16($"{prefix}.q.weight", Heads * KeyWidth, Hidden);
            BFloat16($"{prefix}.o.weight", Hidden, Heads * ValueWidth);
            if (isFirst)
            {
                BFloat16($"{prefix}.k.weight", Heads * KeyWidth, Hidden);
                BFloat16($"{prefix}.v.weight", Heads * ValueWidth, Hidden);
                BFloat16($"{prefix}.mlp.gate_proj.weight", Intermediate, Hidden);
                BFloat16($"{prefix}.mlp.up_proj.weight", Intermediate, Hidden);
                BFloat16($"{prefix}.mlp.down_proj.weight", Hidden, Intermediate);
                return;
            }

            BFloat16($"{prefix}.latent.weight", LatentWidth, Hidden);
            BFloat16($"{prefix}.up_k.weight", Heads * KeyWidth, LatentWidth);
            BFloat16($"{prefix}.up_v.weight", Heads * ValueWidth, LatentWidth);
            Int8($"{prefix}.mlp.up_proj.weight", Intermediate, Hidden);
            Int8($"{prefix}.mlp.down_proj.weight", Hidden, Intermediate);
        }

        Tensor Random(long[] shape) => randn(shape, generator: generator) * 0.3f;

        void Float(string name, params long[] shape) => Add(name, shape.Length == 1 ? Random(shape) + 1 : Random(shape));

        void BFloat16(string name, params long[] shape) => Add(name, Random(shape).to(bfloat16));

        void Int8(string name, long rows, long columns)
        {
            var (elements, scales) = (randint(-127, 128, [rows, columns], ScalarType.Int8, generator: generator),
                (rand(rows, generator: generator) + 0.5f) / 300);
            _stored[name] = elements;
            _stored[$"{name}_scale"] = scales;
            _values[name] = (elements.to(float32) * scales.unsqueeze(1)).DetachFromDisposeScope();
        }

        void Add(string name, Tensor tensor)
        {
            _stored[name] = tensor;
            _values[name] = tensor.to(float32, copy: true).DetachFromDisposeScope();
        }
    }

    public string Path => _folder.Path;

    /// <summary>Every matrix as float32: the values that the model should compute with.</summary>
    public IReadOnlyDictionary<string, Tensor> Values => _values;

    public void Dispose()
    {
        foreach (var tensor in _values.Values)
            tensor.Dispose();
        _folder.Dispose();
    }

    private unsafe void WriteWeights()
    {
        using var writer = SafetensorsWriter.Create(_folder["model.safetensors"],
            [.. _stored.Select(tensor => new TensorSpec(tensor.Key, TypeOf(tensor.Value), tensor.Value.shape))]);
        foreach (var tensor in _stored.Values)
        {
            using var contiguous = tensor.contiguous();
            writer.Write(new ReadOnlySpan<byte>(contiguous.DataPointer(), (int)(contiguous.numel() * TypeOf(contiguous).ByteSize())));
        }

        writer.Complete();
    }

    private void WriteConfig() => File.WriteAllText(
        _folder["config.json"],
        new JsonObject
        {
            ["architectures"] = new JsonArray("LatentForCausalLM"),
            ["model_type"] = "latent",
            ["hidden_size"] = Hidden,
            ["num_hidden_layers"] = LayerCount,
            ["num_attention_heads"] = Heads,
            ["key_width"] = KeyWidth,
            ["value_width"] = ValueWidth,
            ["latent_width"] = LatentWidth,
            ["intermediate_size"] = Intermediate,
            ["vocab_size"] = Vocabulary,
            ["max_position_embeddings"] = Positions,
            ["torch_dtype"] = "float32",
        }.ToJsonString());

    private static SafetensorsDtype TypeOf(Tensor tensor) => tensor.dtype switch
    {
        ScalarType.Float32 => SafetensorsDtype.F32,
        ScalarType.BFloat16 => SafetensorsDtype.BF16,
        _ => SafetensorsDtype.I8,
    };
}
