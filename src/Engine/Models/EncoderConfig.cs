using LocalLlm.Weights;

namespace LocalLlm.Models;

/// <summary>The shape of an XLM-RoBERTa encoder: its config.json, validated and with transformers' defaults filled in.</summary>
internal sealed record EncoderConfig
{
    /// <summary>The architecture that this describes.</summary>
    public const string Architecture = "XLMRobertaModel";

    // Several times the largest model known: what exceeds them is damage or malice.
    private const int MaxBytes = 4 << 20;
    private const int MaxWidth = 1 << 16;
    private const int MaxCount = 1 << 12;
    private const int MaxRows = 4 << 20;

    /// <summary>Width of the hidden states.</summary>
    public required int HiddenSize { get; init; }

    /// <summary>Width of the feed-forward layers.</summary>
    public required int IntermediateSize { get; init; }

    /// <summary>Encoder layers.</summary>
    public required int NumHiddenLayers { get; init; }

    /// <summary>Attention heads; divides <see cref="HiddenSize"/>.</summary>
    public required int NumAttentionHeads { get; init; }

    /// <summary>Rows of the token embedding.</summary>
    public required int VocabSize { get; init; }

    /// <summary>Rows of the position embedding; the first <see cref="PadTokenId"/> + 1 belong to no position.</summary>
    public required int PositionRows { get; init; }

    /// <summary>Rows of the token-type embedding; all tokens are of type 0.</summary>
    public required int TypeVocabSize { get; init; }

    /// <summary>The padding token, after which positions begin.</summary>
    public required int PadTokenId { get; init; }

    /// <summary>Added to the variance in layer normalisation.</summary>
    public required double LayerNormEps { get; init; }

    /// <summary>The type the checkpoint was saved in, or null.</summary>
    public required ModelDtype? Dtype { get; init; }

    /// <summary>Dimensions of a head.</summary>
    public int HeadDim => HiddenSize / NumAttentionHeads;

    /// <summary>Most tokens of a text, special ones included.</summary>
    public int MaxModelLength => PositionRows - PadTokenId - 1;

    /// <summary>Whether a folder's config.json names this architecture. False where it cannot be read: whoever loads the model says why.</summary>
    public static bool IsIn(string folder)
    {
        try
        {
            using var document = ModelFolderFile.ParseObject(ModelConfig.FileName, ModelFolderFile.ReadJson(folder, ModelConfig.FileName, MaxBytes));
            return new ModelConfigFields(document.RootElement, "", new(ModelConfig.FileName)).Texts("architectures")?.Contains(Architecture) == true;
        }
        catch (EngineException)
        {
            return false;
        }
    }

    /// <summary>Reads config.json of a model folder.</summary>
    /// <exception cref="EngineException">Kind ModelFolder: missing, malformed, out of range or another architecture; one error lists every problem.</exception>
    public static EncoderConfig Load(string folder)
    {
        using var document = ModelFolderFile.ParseObject(ModelConfig.FileName, ModelFolderFile.ReadJson(folder, ModelConfig.FileName, MaxBytes));
        var problems = new ModelFolderProblems(ModelConfig.FileName);
        var fields = new ModelConfigFields(document.RootElement, "", problems);
        if (fields.Texts("architectures") is not { } architectures)
            fields.Refuse("architectures", $"a list with {Architecture}");
        else if (!architectures.Contains(Architecture))
            problems.Add($"architectures: found {string.Join(", ", architectures.Take(4).Select(ModelFolderProblems.Quote))}, wanted {Architecture}: the model is no encoder of this kind; a model that generates is for generate, chat and serve");
        if (fields.Text("hidden_act") is { } activation and not "gelu")
            fields.Refuse("hidden_act", "gelu");
        if (fields.Text("position_embedding_type") is { } kind and not "absolute")
            fields.Refuse("position_embedding_type", "absolute");
        if (fields.Bool("is_decoder") == true)
            fields.Refuse("is_decoder", "false");
        var config = new EncoderConfig
        {
            HiddenSize = fields.RequiredInt("hidden_size", 1, MaxWidth) ?? 1,
            IntermediateSize = fields.RequiredInt("intermediate_size", 1, MaxWidth) ?? 1,
            NumHiddenLayers = fields.RequiredInt("num_hidden_layers", 1, MaxCount) ?? 1,
            NumAttentionHeads = fields.RequiredInt("num_attention_heads", 1, MaxCount) ?? 1,
            VocabSize = fields.RequiredInt("vocab_size", 1, MaxRows) ?? 1,
            PositionRows = fields.Int("max_position_embeddings", 3, MaxRows) ?? 512,
            TypeVocabSize = fields.Int("type_vocab_size", 1, MaxCount) ?? 2,
            PadTokenId = fields.Int("pad_token_id", 0, MaxCount) ?? 1,
            LayerNormEps = fields.PositiveNumber("layer_norm_eps", 1) ?? 1e-12,
            Dtype = ModelDtypes.Read(fields),
        };
        if (config.HiddenSize % config.NumAttentionHeads != 0)
            fields.Refuse("hidden_size", $"a multiple of num_attention_heads ({config.NumAttentionHeads})");
        if (config.MaxModelLength < 1)
            fields.Refuse("max_position_embeddings", $"more than pad_token_id + 1 ({config.PadTokenId + 1})");
        problems.ThrowIfAny();
        return config;
    }
}
