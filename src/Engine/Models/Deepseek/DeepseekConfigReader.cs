using LocalLlm.Models.Rotary;

namespace LocalLlm.Models.Deepseek;

/// <summary>Reads config.json of a DeepSeek-V2 or V3 model. Problems go to the source's list.</summary>
/// <param name="source">The file.</param>
/// <param name="generation">The architecture's defaults.</param>
internal sealed class DeepseekConfigReader(ModelConfigSource source, DeepseekGeneration generation)
{
    // Several times the largest known model: a larger number means damage or malice.
    private const int MaxLayers = 1_000;
    private const int MaxHidden = 131_072;
    private const int MaxIntermediate = 1 << 20;
    private const int MaxHeads = 1_024;
    private const int MaxHeadDim = 1_024;
    private const int MaxRank = 65_536;
    private const int MaxPositions = 1 << 27;

    // transformers' value for an absent field; an explicit null means none.
    private const int DefaultQueryRank = 1_536;

    /// <summary>DeepseekV2ForCausalLM.</summary>
    public static DeepseekConfig ReadV2(ModelConfigSource source) => new DeepseekConfigReader(source, DeepseekGeneration.V2).Read();

    /// <summary>DeepseekV3ForCausalLM.</summary>
    public static DeepseekConfig ReadV3(ModelConfigSource source) => new DeepseekConfigReader(source, DeepseekGeneration.V3).Read();

    private DeepseekConfig Read()
    {
        var quantization = source.Quantization();
        var fields = source.Fields;
        var vocab = source.VocabSize();
        var rotated = fields.RequiredInt("qk_rope_head_dim", 2, MaxHeadDim) ?? 2;
        if (rotated % 2 == 1)
            fields.Refuse("qk_rope_head_dim", "an even number: rotary embeddings turn pairs");
        var layers = fields.RequiredInt("num_hidden_layers", 1, MaxLayers) ?? 1;
        var positions = fields.Int("max_position_embeddings", 2, MaxPositions) ?? generation.MaxPositionEmbeddings;
        return new()
        {
            Architecture = source.Architecture,
            Architectures = source.Architectures,
            ModelType = source.ModelType,
            HiddenSize = fields.RequiredInt("hidden_size", 1, MaxHidden) ?? 1,
            IntermediateSize = fields.RequiredInt("intermediate_size", 1, MaxIntermediate) ?? 1,
            NumHiddenLayers = layers,
            NumAttentionHeads = fields.RequiredInt("num_attention_heads", 1, MaxHeads) ?? 1,
            QLoraRank = ReadQueryRank(),
            KvLoraRank = fields.RequiredInt("kv_lora_rank", 1, MaxRank) ?? 1,
            QkNopeHeadDim = fields.RequiredInt("qk_nope_head_dim", 1, MaxHeadDim) ?? 1,
            QkRopeHeadDim = rotated,
            VHeadDim = fields.RequiredInt("v_head_dim", 1, MaxHeadDim) ?? 1,
            RopeInterleave = fields.Bool("rope_interleave") ?? true,
            AttentionBias = fields.Bool("attention_bias") ?? false,
            Experts = new ExpertOptionsReader(fields, generation, layers).Read(),
            FirstKDenseReplace = fields.Int("first_k_dense_replace", 0, MaxLayers) ?? generation.FirstKDenseReplace,
            MoeLayerFreq = fields.Int("moe_layer_freq", 1, MaxLayers) ?? 1,
            NumNextnPredictLayers = fields.Int("num_nextn_predict_layers", 0, MaxLayers) ?? 0,
            VocabSize = vocab ?? 1,
            RmsNormEps = fields.PositiveNumber("rms_norm_eps", 1) ?? 1e-6,
            MaxPositionEmbeddings = positions,
            TieWordEmbeddings = fields.Bool("tie_word_embeddings") ?? false,
            Rope = ReadRope(positions, rotated),
            Dtype = ModelDtypes.Read(fields),
            Quantization = quantization,
            BosTokenId = source.BosTokenId(null, vocab),
            EosTokenIds = source.EosTokenIds(null, vocab),
        };
    }

    private int? ReadQueryRank()
    {
        if (source.Fields.Text("hidden_act") is not null and not "silu")
            source.Fields.Refuse("hidden_act", "silu");
        if (!source.Fields.Has("q_lora_rank"))
            return DefaultQueryRank;
        // DeepSeek's own inference code writes 0 for "none".
        return source.Fields.Int("q_lora_rank", 0, MaxRank) is { } rank and not 0 ? rank : null;
    }

    // transformers derives the scale of cos and sin from both mscales or from neither. DeepSeek's own code reads an absent mscale as 1 and
    // an absent mscale_all_dim as 0.
    private RopeConfig ReadRope(int positions, int rotated)
    {
        var rope = new RopeConfigReader(source.Fields, source.Problems).Read(positions, rotated);
        return rope is { RopeType: RopeType.Yarn, AttentionFactor: null }
            ? rope with
            {
                AttentionFactor = DeepseekConfig.YarnMscale(rope.Factor, rope.Mscale ?? 1) / DeepseekConfig.YarnMscale(rope.Factor, rope.MscaleAllDim ?? 0),
            }
            : rope;
    }
}
