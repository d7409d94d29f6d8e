using System.Text.Json;
using LocalLlm.Models;
using LocalLlm.Weights;

namespace LocalLlm.Planning;

/// <summary>
/// Reads the sizes of any decoder from an untrusted config.json. It uses the field names of transformers' configuration classes: dense
/// models with grouped-query attention, mixtures of experts, latent attention. If this build runs the model, the file must also pass the
/// reader of its family.
/// </summary>
internal static class ModelShapeReader
{
    private const int MaxBytes = 4 << 20;
    private const int MaxLayers = 1_000;
    private const int MaxHidden = 131_072;
    private const int MaxWidth = 1 << 20;
    private const int MaxHeads = 1_024;
    private const int MaxHeadDim = 1_024;
    private const int MaxVocab = 4 << 20;
    private const int MaxExperts = 4_096;
    private const int MaxPositions = 1 << 27;

    /// <summary>Reads config.json of a folder.</summary>
    /// <exception cref="EngineException">Kind ModelFolder: the file is missing or malformed, or does not give the sizes; one error lists
    /// every problem.</exception>
    public static ModelShape Load(string folder) => Parse(ModelFolderFile.ReadJson(folder, ModelConfig.FileName, MaxBytes));

    /// <summary>Reads the text of a config.json.</summary>
    /// <exception cref="EngineException">As <see cref="Load"/>.</exception>
    public static ModelShape Parse(ReadOnlyMemory<byte> utf8)
    {
        using var document = ModelFolderFile.ParseObject(ModelConfig.FileName, utf8);
        var problems = new ModelFolderProblems(ModelConfig.FileName);
        var fields = new ModelConfigFields(document.RootElement, "", problems);
        var type = fields.Text("model_type") ?? "";
        var architecture = fields.Texts("architectures") is [var first, ..] ? first : type;
        var known = ModelRegistry.Decoders.SelectMany(family => family.Architectures)
            .Any(one => one.Name == architecture || (architecture == type && one.ModelType == type));
        // The family's reader fills in defaults and refuses what the family does not run.
        var config = known ? ModelConfigReader.Read(document.RootElement) : null;
        var stored = QuantizationConfigReader.Read(fields);
        var shape = Read(fields, type) with
        {
            Architecture = architecture,
            IsRunnable = known,
            // The output head is never quantised.
            Quantisation = stored is null ? null : new(stored.BlockRows, stored.BlockColumns, stored.ScaleOf) { Kept = [.. stored.Kept.Where(name => name != "lm_head")] },
        };
        problems.ThrowIfAny();
        if (config is not null)
            shape = shape with { PredictionLayers = config.PredictionLayers };
        return config is DecoderConfig decoder
            ? shape with { HeadDim = decoder.HeadDim, KvHeads = decoder.NumKeyValueHeads, HasQkvBias = decoder.AttentionBias, HasOutputBias = decoder.AttentionOutputBias, MaxModelLength = decoder.MaxModelLength }
            : shape;
    }

    private static ModelShape Read(ModelConfigFields fields, string type)
    {
        var hidden = fields.RequiredInt("hidden_size", 1, MaxHidden) ?? 1;
        var layers = fields.RequiredInt("num_hidden_layers", 1, MaxLayers) ?? 1;
        var heads = fields.RequiredInt("num_attention_heads", 1, MaxHeads) ?? 1;
        var bias = fields.Bool("attention_bias") ?? false;
        var experts = Experts(fields);
        return new()
        {
            Architecture = "",
            IsRunnable = false,
            HiddenSize = hidden,
            Layers = layers,
            Heads = heads,
            KvHeads = fields.Int("num_key_value_heads", 1, MaxHeads) ?? heads,
            HeadDim = fields.Int("head_dim", 1, MaxHeadDim) ?? (type.StartsWith("qwen3", StringComparison.Ordinal) ? 128 : Math.Max(1, hidden / heads)),
            VocabSize = fields.RequiredInt("vocab_size", 1, MaxVocab) ?? 1,
            IntermediateSize = (experts is null ? fields.RequiredInt("intermediate_size", 1, MaxWidth) : fields.Int("intermediate_size", 1, MaxWidth)) ?? 0,
            MaxModelLength = fields.Int("max_position_embeddings", 2, MaxPositions) ?? 4096,
            IsTied = fields.Bool("tie_word_embeddings") ?? false,
            // transformers' Qwen2 always has these biases.
            HasQkvBias = fields.Bool("qkv_bias") ?? (bias || type.StartsWith("qwen2", StringComparison.Ordinal)),
            HasOutputBias = bias,
            HasMlpBias = fields.Bool("mlp_bias") ?? false,
            HasQkNorm = type.StartsWith("qwen3", StringComparison.Ordinal),
            Dtype = ModelDtypes.Read(fields),
            Latent = Latent(fields),
            Experts = experts,
            ExpertLayers = experts is null ? [] : ExpertLayers(fields, layers),
            PredictionLayers = fields.Int("num_nextn_predict_layers", 0, MaxLayers) ?? 0,
            PredictsByExperts = experts is not null && ExpertLayers(fields, layers + 1)[layers],
        };
    }

    private static LatentShape? Latent(ModelConfigFields fields) => fields.Int("kv_lora_rank", 1, MaxHidden) is not { } rank ? null : new(
        fields.Int("q_lora_rank", 1, MaxHidden),
        rank,
        fields.RequiredInt("qk_nope_head_dim", 1, MaxHeadDim) ?? 1,
        fields.RequiredInt("qk_rope_head_dim", 1, MaxHeadDim) ?? 1,
        fields.RequiredInt("v_head_dim", 1, MaxHeadDim) ?? 1);

    private static ExpertShape? Experts(ModelConfigFields fields)
    {
        var name = ((string[])["n_routed_experts", "num_local_experts", "num_experts"]).FirstOrDefault(name => fields.Value(name) is not null);
        if (name is null || fields.Int(name, 1, MaxExperts) is not { } count)
            return null;
        var ownWidth = fields.Value("moe_intermediate_size") is not null;
        var width = fields.RequiredInt(ownWidth ? "moe_intermediate_size" : "intermediate_size", 1, MaxWidth) ?? 1;
        var gated = fields.Int("shared_expert_intermediate_size", 1, MaxWidth);
        var shared = gated ?? ((fields.Int("n_shared_experts", 0, MaxExperts) ?? 0) * width);
        var perToken = fields.RequiredInt("num_experts_per_tok", 1, count) ?? 1;
        // DeepSeek-V3's routing without an auxiliary loss has a bias for each expert.
        return new(count, perToken, width, shared, gated is not null, fields.Text("topk_method") == "noaux_tc");
    }

    private static bool[] ExpertLayers(ModelConfigFields fields, int layers)
    {
        var firstDense = fields.Int("first_k_dense_replace", 0, MaxLayers) ?? 0;
        var every = fields.Int("moe_layer_freq", 1, MaxLayers) ?? 1;
        var step = fields.Int("decoder_sparse_step", 1, MaxLayers) ?? 1;
        var dense = new HashSet<int>();
        if (fields.Value("mlp_only_layers") is { ValueKind: JsonValueKind.Array } list)
            dense = [.. list.EnumerateArray().Where(item => item.ValueKind == JsonValueKind.Number && item.TryGetInt32(out _)).Select(item => item.GetInt32())];
        return [.. Enumerable.Range(0, layers).Select(layer => layer >= firstDense && layer % every == 0 && (layer + 1) % step == 0 && !dense.Contains(layer))];
    }
}
