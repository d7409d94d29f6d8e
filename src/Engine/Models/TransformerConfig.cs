using LocalLlm.Models.Rotary;

namespace LocalLlm.Models;

/// <summary>
/// The configuration that all decoders built as <see cref="DecoderModel"/> share: embedding, layers with rotary positions, norm, output
/// head.
/// </summary>
internal abstract record TransformerConfig : ModelConfig
{
    /// <summary>Width of the residual stream.</summary>
    public required int HiddenSize { get; init; }

    /// <summary>Added to the mean square in RMSNorm.</summary>
    public required double RmsNormEps { get; init; }

    /// <summary>The context length of <c>max_position_embeddings</c>; see <see cref="MaxModelLength"/>.</summary>
    public required int MaxPositionEmbeddings { get; init; }

    /// <summary>Whether the output head uses the embedding's matrix.</summary>
    public required bool TieWordEmbeddings { get; init; }

    /// <summary>The rotary embedding.</summary>
    public required RopeConfig Rope { get; init; }

    /// <summary>Rotated dimensions of a head.</summary>
    public abstract int RotaryDim { get; }

    /// <summary>
    /// The longest context. The factor of linear, dynamic and yarn scaling stretches it (yarn from the original length); llama3 takes it as
    /// written.
    /// </summary>
    public override long MaxModelLength => Rope.RopeType switch
    {
        RopeType.Linear or RopeType.Dynamic => (long)(MaxPositionEmbeddings * Rope.Factor),
        RopeType.Yarn => (long)((Rope.OriginalMaxPositionEmbeddings ?? MaxPositionEmbeddings) * Rope.Factor),
        _ => MaxPositionEmbeddings,
    };
}
