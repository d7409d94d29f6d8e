using LocalLlm.Models.Rotary;

namespace LocalLlm.Models;

/// <summary>Reads the fields that all dense decoders have from an untrusted config.json. Problems go to the source's list.</summary>
/// <param name="source">The file.</param>
/// <param name="defaults">Values of absent fields.</param>
internal sealed class DecoderConfigReader(ModelConfigSource source, DecoderDefaults defaults)
{
    // Several times the largest known model: a larger number means damage or malice.
    private const int MaxLayers = 1_000;
    private const int MaxHidden = 131_072;
    private const int MaxIntermediate = 1 << 20;
    private const int MaxHeads = 1_024;
    private const int MaxHeadDim = 1_024;
    private const int MaxPositions = 1 << 27;

    /// <summary>Reads and checks everything.</summary>
    public DecoderConfig Read()
    {
        var quantization = source.Quantization();
        var fields = source.Fields;
        var hidden = fields.RequiredInt("hidden_size", 1, MaxHidden);
        var layers = fields.RequiredInt("num_hidden_layers", 1, MaxLayers);
        var heads = fields.RequiredInt("num_attention_heads", 1, MaxHeads);
        var vocab = source.VocabSize();
        var intermediate = fields.RequiredInt("intermediate_size", 1, MaxIntermediate);
        var headDim = ReadHeadDim(hidden, heads);
        var positions = fields.Int("max_position_embeddings", 2, MaxPositions) ?? defaults.MaxPositionEmbeddings;
        var (window, slidingLayers) = DecoderLayerTypes.Read(source, defaults, layers);
        var (attentionBias, outputBias) = ReadAttentionBias();
        return new()
        {
            Architecture = source.Architecture,
            Architectures = source.Architectures,
            ModelType = source.ModelType,
            HiddenSize = hidden ?? 0,
            IntermediateSize = intermediate ?? 0,
            NumHiddenLayers = layers ?? 0,
            NumAttentionHeads = heads ?? 0,
            NumKeyValueHeads = ReadKeyValueHeads(heads),
            HeadDim = headDim,
            VocabSize = vocab ?? 0,
            Quantization = quantization,
            RmsNormEps = fields.PositiveNumber("rms_norm_eps", 1) ?? 1e-6,
            MaxPositionEmbeddings = positions,
            HiddenAct = ReadHiddenAct(),
            TieWordEmbeddings = fields.Bool("tie_word_embeddings") ?? false,
            AttentionBias = attentionBias,
            AttentionOutputBias = outputBias,
            SlidingWindow = window,
            SlidingLayers = slidingLayers,
            Rope = new RopeConfigReader(fields, source.Problems).Read(positions, headDim),
            Dtype = ModelDtypes.Read(fields),
            BosTokenId = source.BosTokenId(defaults.BosTokenId, vocab),
            EosTokenIds = source.EosTokenIds(defaults.EosTokenId, vocab),
        };
    }

    private int ReadHeadDim(int? hidden, int? heads)
    {
        if (source.Fields.Value("head_dim") is not null)
        {
            var given = source.Fields.Int("head_dim", 2, MaxHeadDim);
            if (given % 2 == 1)
                source.Fields.Refuse("head_dim", "an even number: rotary embeddings turn pairs");
            return given ?? 0;
        }

        if (defaults.HeadDim is { } fixedDim && !source.Fields.Has("head_dim"))
            return fixedDim;
        if (hidden is null || heads is null)
            return 0;
        if (hidden % heads != 0 || hidden / heads % 2 != 0 || hidden / heads > MaxHeadDim)
        {
            source.Fields.Refuse(
                "hidden_size",
                $"an even multiple of num_attention_heads ({heads}), at most {MaxHeadDim} times it, since head_dim is not given");
        }

        return hidden.Value / heads.Value;
    }

    private int ReadKeyValueHeads(int? heads)
    {
        var given = source.Fields.Int("num_key_value_heads", 1, MaxHeads);
        if (given is { } keyValueHeads && heads is not null && heads % keyValueHeads != 0)
            source.Fields.Refuse("num_key_value_heads", $"a divisor of num_attention_heads ({heads})");
        return given ?? heads ?? 0;
    }

    private (bool Qkv, bool Output) ReadAttentionBias()
    {
        var qkv = source.Fields.Bool("qkv_bias");
        if (defaults.HasFixedQkvBias)
            return (qkv ?? true, false);
        var bias = source.Fields.Bool("attention_bias") ?? false;
        return (qkv ?? bias, bias);
    }

    private string ReadHiddenAct()
    {
        const string Supported = "silu";
        var text = source.Fields.Text("hidden_act");
        if (text is not null and not Supported)
            source.Fields.Refuse("hidden_act", Supported);
        return Supported;
    }
}
