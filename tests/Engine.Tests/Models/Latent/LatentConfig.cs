using LocalLlm.Models;

namespace LocalLlm.Tests.Models.Latent;

/// <summary>The shape of a model of the family that docs/guides/adding-a-model.md adds.</summary>
internal sealed record LatentConfig : ModelConfig
{
    public required int HiddenSize { get; init; }

    public required int Heads { get; init; }

    /// <summary>Elements of a query or key head.</summary>
    public required int KeyWidth { get; init; }

    /// <summary>Elements of a value head.</summary>
    public required int ValueWidth { get; init; }

    /// <summary>Elements per token that every layer but the first caches.</summary>
    public required int LatentWidth { get; init; }

    public required int IntermediateSize { get; init; }

    /// <summary>Rows of the position table.</summary>
    public required int Positions { get; init; }

    public override long MaxModelLength => Positions;

    // Queries, keys and values occupy memory at the same time as their gathered context.
    public override long ActivationElements => (2L * HiddenSize) + (3L * Heads * (KeyWidth + ValueWidth)) + (3L * IntermediateSize);

    public static LatentConfig Read(ModelConfigSource source)
    {
        const int most = 1 << 16;
        var fields = source.Fields;
        var vocab = source.VocabSize();
        return new()
        {
            Architecture = source.Architecture,
            Architectures = source.Architectures,
            ModelType = source.ModelType,
            VocabSize = vocab ?? 1,
            Dtype = ModelDtypes.Read(fields),
            BosTokenId = source.BosTokenId(null, vocab),
            EosTokenIds = source.EosTokenIds(null, vocab),
            HiddenSize = fields.RequiredInt("hidden_size", 1, most) ?? 1,
            NumHiddenLayers = fields.RequiredInt("num_hidden_layers", 2, most) ?? 2,
            Heads = fields.RequiredInt("num_attention_heads", 1, most) ?? 1,
            KeyWidth = fields.RequiredInt("key_width", 1, most) ?? 1,
            ValueWidth = fields.RequiredInt("value_width", 1, most) ?? 1,
            LatentWidth = fields.RequiredInt("latent_width", 1, most) ?? 1,
            IntermediateSize = fields.RequiredInt("intermediate_size", 1, most) ?? 1,
            Positions = fields.RequiredInt("max_position_embeddings", 2, most) ?? 2,
        };
    }
}
