using System.Text.Json;
using LocalLlm.Weights;

namespace LocalLlm.Models;

/// <summary>Turns an untrusted config.json into a <see cref="ModelConfig"/>, or into one error with everything that is wrong.</summary>
internal sealed class ModelConfigReader
{
    // Several times the largest model known: what exceeds them is damage or malice.
    private const int MaxLayers = 1_000;
    private const int MaxHidden = 131_072;
    private const int MaxIntermediate = 1 << 20;
    private const int MaxHeads = 1_024;
    private const int MaxHeadDim = 1_024;
    private const int MaxVocab = 4 << 20;
    private const int MaxPositions = 1 << 27;

    private readonly ModelFolderProblems _problems = new(ModelConfig.FileName);
    private readonly ModelConfigFields _fields;

    public ModelConfigReader(JsonElement root) => _fields = new ModelConfigFields(root, "", _problems);

    /// <summary>Reads and checks everything.</summary>
    /// <exception cref="EngineException">Anything is wrong.</exception>
    public ModelConfig Read()
    {
        RefuseUnsupported();
        var (family, architectures) = ReadArchitecture();
        if (family is null)
            _problems.ThrowIfAny();

        var hidden = _fields.RequiredInt("hidden_size", 1, MaxHidden);
        var layers = _fields.RequiredInt("num_hidden_layers", 1, MaxLayers);
        var heads = _fields.RequiredInt("num_attention_heads", 1, MaxHeads);
        var vocab = _fields.RequiredInt("vocab_size", 1, MaxVocab);
        var intermediate = _fields.RequiredInt("intermediate_size", 1, MaxIntermediate);
        var headDim = ReadHeadDim(family!, hidden, heads);
        var positions = _fields.Int("max_position_embeddings", 2, MaxPositions) ?? family!.MaxPositionEmbeddings;
        var (window, slidingLayers) = ModelConfigLayerTypes.Read(_fields, _problems, family!, layers);
        var (attentionBias, outputBias) = ReadAttentionBias(family!);
        var config = new ModelConfig
        {
            Architecture = family!.Architecture,
            Architectures = architectures,
            ModelType = _fields.Text("model_type") ?? family.ModelType,
            HiddenSize = hidden ?? 0,
            IntermediateSize = intermediate ?? 0,
            NumHiddenLayers = layers ?? 0,
            NumAttentionHeads = heads ?? 0,
            NumKeyValueHeads = ReadKeyValueHeads(heads),
            HeadDim = headDim,
            VocabSize = vocab ?? 0,
            RmsNormEps = _fields.PositiveNumber("rms_norm_eps", 1) ?? 1e-6,
            MaxPositionEmbeddings = positions,
            HiddenAct = ReadHiddenAct(),
            TieWordEmbeddings = _fields.Bool("tie_word_embeddings") ?? false,
            AttentionBias = attentionBias,
            AttentionOutputBias = outputBias,
            MlpBias = family.HasMlpBias && (_fields.Bool("mlp_bias") ?? false),
            QkNorm = family.QkNorm,
            SlidingWindow = window,
            SlidingLayers = slidingLayers,
            Rope = new RopeConfigReader(_fields, _problems).Read(positions, headDim),
            Dtype = ModelDtypes.Read(_fields),
            BosTokenId = ReadBos(family, vocab),
            EosTokenIds = ReadEos(family, vocab),
        };
        _problems.ThrowIfAny();
        return config;
    }

    private void RefuseUnsupported()
    {
        if (_fields.Value("text_config") is not null)
            _fields.Refuse("text_config", "no nested configuration: only text models are supported");
        foreach (var name in (string[])["quantization_config", "compression_config"])
        {
            if (_fields.Value(name) is not { } value)
                continue;
            var method = value.ValueKind == JsonValueKind.Object && value.TryGetProperty("quant_method", out var found)
                ? ModelConfigFields.Describe(found)
                : "(not named)";
            _problems.Add($"{name}: found quant_method {method}, which is not supported, wanted unquantised weights");
        }
    }

    private (ModelConfigFamily? Family, IReadOnlyList<string> Architectures) ReadArchitecture()
    {
        var supported = string.Join(", ", ModelConfigFamily.All.Select(family => family.Architecture));
        if (_fields.Value("architectures") is null)
        {
            // Without a class name the type decides, as in transformers' AutoModelForCausalLM.
            var type = _fields.Text("model_type");
            var byType = ModelConfigFamily.All.FirstOrDefault(family => family.ModelType == type);
            if (byType is null)
                _fields.Refuse("architectures", $"a list with one of {supported}");
            return (byType, byType is null ? [] : [byType.Architecture]);
        }

        if (_fields.Texts("architectures") is not { } architectures)
            return (null, []);
        foreach (var architecture in architectures)
        {
            if (ModelConfigFamily.All.FirstOrDefault(family => family.Architecture == architecture) is { } family)
                return (family, architectures);
        }

        var found = architectures.Count == 0 ? "an empty list" : string.Join(", ", architectures.Take(4).Select(ModelFolderProblems.Quote));
        _problems.Add($"architectures: found {found}, which this build does not support; wanted one of {supported}");
        return (null, architectures);
    }

    private int ReadHeadDim(ModelConfigFamily family, int? hidden, int? heads)
    {
        if (_fields.Value("head_dim") is not null)
        {
            var given = _fields.Int("head_dim", 2, MaxHeadDim);
            if (given % 2 == 1)
                _fields.Refuse("head_dim", "an even number: rotary embeddings turn pairs");
            return given ?? 0;
        }

        if (family.HeadDim is { } fixedDim && !_fields.Has("head_dim"))
            return fixedDim;
        if (hidden is null || heads is null)
            return 0;
        if (hidden % heads != 0 || hidden / heads % 2 != 0 || hidden / heads > MaxHeadDim)
        {
            _fields.Refuse(
                "hidden_size",
                $"an even multiple of num_attention_heads ({heads}), at most {MaxHeadDim} times it, since head_dim is not given");
        }

        return hidden.Value / heads.Value;
    }

    private int ReadKeyValueHeads(int? heads)
    {
        var given = _fields.Int("num_key_value_heads", 1, MaxHeads);
        if (given is { } keyValueHeads && heads is not null && heads % keyValueHeads != 0)
            _fields.Refuse("num_key_value_heads", $"a divisor of num_attention_heads ({heads})");
        return given ?? heads ?? 0;
    }

    private (bool Qkv, bool Output) ReadAttentionBias(ModelConfigFamily family)
    {
        var qkv = _fields.Bool("qkv_bias");
        if (family.HasFixedQkvBias)
            return (qkv ?? true, false);
        var bias = _fields.Bool("attention_bias") ?? false;
        return (qkv ?? bias, bias);
    }

    private string ReadHiddenAct()
    {
        const string Supported = "silu";
        var text = _fields.Text("hidden_act");
        if (text is not null and not Supported)
            _fields.Refuse("hidden_act", Supported);
        return Supported;
    }

    // An explicit null means none; only an absent id has a default.
    private int? ReadBos(ModelConfigFamily family, int? vocab) =>
        _fields.Has("bos_token_id") ? _fields.Int("bos_token_id", 0, (vocab ?? MaxVocab) - 1) : InVocab(family.BosTokenId, vocab);

    private IReadOnlyList<int> ReadEos(ModelConfigFamily family, int? vocab)
    {
        if (_fields.Has("eos_token_id"))
            return _fields.TokenIds("eos_token_id", vocab ?? MaxVocab) ?? [];
        return InVocab(family.EosTokenId, vocab) is { } eos ? [eos] : [];
    }

    private static int? InVocab(int? id, int? vocab) => id < vocab ? id : null;
}
