using System.Text.Json.Nodes;
using LocalLlm.Interop;
using LocalLlm.Tests.Weights;
using LocalLlm.Weights;
using static TorchSharp.torch;

namespace LocalLlm.Tests.Models.Deepseek;

/// <summary>A small DeepSeek-V3 folder with random weights: one dense layer, two mixtures of experts.</summary>
internal sealed class DeepseekFolder : IDisposable
{
    public const int Hidden = 48;
    public const int LayerCount = 3;
    public const int Experts = 6;
    private const int Heads = 4;
    private const int QueryRank = 24;
    private const int Rank = 20;
    private const int Plain = 12;
    private const int Rotary = 6;
    private const int Value = 10;
    private const int Intermediate = 80;
    public const int ExpertWidth = 28;
    private const int Vocabulary = 112;
    private readonly TemporaryFolder _folder = new();

    /// <param name="changeConfig">Changes config.json.</param>
    /// <param name="changeWeights">Changes the stored tensors, by name.</param>
    public DeepseekFolder(Action<JsonObject>? changeConfig = null, Action<Dictionary<string, Tensor>>? changeWeights = null)
    {
        TorchLibrary.EnsureLoaded();
        using var scope = NewDisposeScope();
        var weights = Weights();
        changeWeights?.Invoke(weights);
        Write(weights);
        var config = Config();
        changeConfig?.Invoke(config);
        File.WriteAllText(_folder["config.json"], config.ToJsonString());
    }

    public string Path => _folder.Path;

    /// <summary>The unchanged config.json.</summary>
    public static JsonObject Config() => new()
    {
        ["architectures"] = new JsonArray("DeepseekV3ForCausalLM"),
        ["model_type"] = "deepseek_v3",
        ["hidden_size"] = Hidden,
        ["intermediate_size"] = Intermediate,
        ["num_hidden_layers"] = LayerCount,
        ["num_attention_heads"] = Heads,
        ["q_lora_rank"] = QueryRank,
        ["kv_lora_rank"] = Rank,
        ["qk_nope_head_dim"] = Plain,
        ["qk_rope_head_dim"] = Rotary,
        ["v_head_dim"] = Value,
        ["first_k_dense_replace"] = 1,
        ["moe_layer_freq"] = 1,
        ["moe_intermediate_size"] = ExpertWidth,
        ["n_routed_experts"] = Experts,
        ["n_shared_experts"] = 1,
        ["num_experts_per_tok"] = 2,
        ["n_group"] = 3,
        ["topk_group"] = 2,
        ["topk_method"] = "noaux_tc",
        ["scoring_func"] = "sigmoid",
        ["norm_topk_prob"] = true,
        ["routed_scaling_factor"] = 2.5,
        ["vocab_size"] = Vocabulary,
        ["max_position_embeddings"] = 256,
        ["torch_dtype"] = "float32",
    };

    public void Dispose() => _folder.Dispose();

    /// <summary>Adds a multi-token prediction layer that passes its projection's output on: attention and MLP add nothing.</summary>
    /// <param name="weights">The stored tensors, by name.</param>
    /// <param name="ofEmbedding">Factor on the next token's embedding.</param>
    /// <param name="ofHidden">Factor on the model's own output.</param>
    public static void AddPrediction(Dictionary<string, Tensor> weights, float ofEmbedding, float ofHidden)
    {
        var (last, prefix) = ($"model.layers.{LayerCount - 1}.", $"model.layers.{LayerCount}.");
        foreach (var name in weights.Keys.Where(name => name.StartsWith(last, StringComparison.Ordinal)).ToArray())
        {
            var added = name.Contains("o_proj", StringComparison.Ordinal) || name.Contains("down_proj", StringComparison.Ordinal) ? zeros_like(weights[name]) : weights[name];
            weights[prefix + name[last.Length..]] = added;
        }

        AddSharedOfPrediction(weights);
        weights[$"{prefix}eh_proj.weight"] = cat([eye(Hidden) * ofEmbedding, eye(Hidden) * ofHidden], 1);
    }

    /// <summary>Adds a layer of multi-token prediction with random weights throughout.</summary>
    public static void AddRandomPrediction(Dictionary<string, Tensor> weights)
    {
        var (first, prefix) = ($"model.layers.{LayerCount - 2}.", $"model.layers.{LayerCount}.");
        foreach (var name in weights.Keys.Where(name => name.StartsWith(first, StringComparison.Ordinal)).ToArray())
            weights[prefix + name[first.Length..]] = weights[name];
        AddSharedOfPrediction(weights);
        weights[$"{prefix}eh_proj.weight"] = randn([Hidden, 2 * Hidden], generator: new Generator(17, CPU)) * 0.2f;
    }

    private static void AddSharedOfPrediction(Dictionary<string, Tensor> weights)
    {
        var prefix = $"model.layers.{LayerCount}.";
        weights[$"{prefix}embed_tokens.weight"] = weights["model.embed_tokens.weight"];
        weights[$"{prefix}shared_head.head.weight"] = weights["lm_head.weight"];
        foreach (var norm in (string[])["enorm", "hnorm", "shared_head.norm"])
            weights[$"{prefix}{norm}.weight"] = ones(Hidden);
    }

    private static Dictionary<string, Tensor> Weights()
    {
        var generator = new Generator(9, CPU);
        var weights = new Dictionary<string, Tensor>();
        Add("model.embed_tokens.weight", Vocabulary, Hidden);
        Add("model.norm.weight", Hidden);
        Add("lm_head.weight", Vocabulary, Hidden);
        for (var layer = 0; layer < LayerCount; layer++)
        {
            var prefix = $"model.layers.{layer}";
            Add($"{prefix}.input_layernorm.weight", Hidden);
            Add($"{prefix}.post_attention_layernorm.weight", Hidden);
            Add($"{prefix}.self_attn.q_a_proj.weight", QueryRank, Hidden);
            Add($"{prefix}.self_attn.q_a_layernorm.weight", QueryRank);
            Add($"{prefix}.self_attn.q_b_proj.weight", Heads * (Plain + Rotary), QueryRank);
            Add($"{prefix}.self_attn.kv_a_proj_with_mqa.weight", Rank + Rotary, Hidden);
            Add($"{prefix}.self_attn.kv_a_layernorm.weight", Rank);
            Add($"{prefix}.self_attn.kv_b_proj.weight", Heads * (Plain + Value), Rank);
            Add($"{prefix}.self_attn.o_proj.weight", Hidden, Heads * Value);
            if (layer == 0)
            {
                Mlp($"{prefix}.mlp", Intermediate);
                continue;
            }

            Add($"{prefix}.mlp.gate.weight", Experts, Hidden);
            Add($"{prefix}.mlp.gate.e_score_correction_bias", Experts);
            Mlp($"{prefix}.mlp.shared_experts", ExpertWidth);
            for (var expert = 0; expert < Experts; expert++)
                Mlp($"{prefix}.mlp.experts.{expert}", ExpertWidth);
        }

        return weights;

        void Mlp(string prefix, long width)
        {
            Add($"{prefix}.gate_proj.weight", width, Hidden);
            Add($"{prefix}.up_proj.weight", width, Hidden);
            Add($"{prefix}.down_proj.weight", Hidden, width);
        }

        void Add(string name, params long[] shape) =>
            weights[name] = shape.Length == 1 && name.Contains("norm", StringComparison.Ordinal)
                ? (randn(shape, generator: generator) * 0.1f) + 1 : randn(shape, generator: generator) * 0.2f;
    }

    private unsafe void Write(Dictionary<string, Tensor> weights)
    {
        using var writer = SafetensorsWriter.Create(
            _folder["model.safetensors"], [.. weights.Select(weight => new TensorSpec(weight.Key, TypeOf(weight.Value), weight.Value.shape))]);
        foreach (var weight in weights.Values)
        {
            using var contiguous = weight.contiguous();
            writer.Write(new ReadOnlySpan<byte>(contiguous.DataPointer(), (int)(contiguous.numel() * TypeOf(contiguous).ByteSize())));
        }

        writer.Complete();
    }

    private static SafetensorsDtype TypeOf(Tensor tensor) => tensor.dtype switch
    {
        ScalarType.Float32 => SafetensorsDtype.F32,
        ScalarType.BFloat16 => SafetensorsDtype.BF16,
        ScalarType.Int32 => SafetensorsDtype.I32,
        _ => SafetensorsDtype.I8,
    };
}
