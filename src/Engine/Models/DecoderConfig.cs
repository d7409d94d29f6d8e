using LocalLlm.Models.Rotary;

namespace LocalLlm.Models;

/// <summary>
/// The shape of a dense decoder with grouped-query attention, rotary positions and a gated MLP, which several families share.
/// </summary>
internal record DecoderConfig : ModelConfig
{
    /// <summary>Width of the residual stream.</summary>
    public required int HiddenSize { get; init; }

    /// <summary>Width of the MLP.</summary>
    public required int IntermediateSize { get; init; }

    /// <summary>Query heads.</summary>
    public required int NumAttentionHeads { get; init; }

    /// <summary>Key and value heads; divides <see cref="NumAttentionHeads"/>.</summary>
    public required int NumKeyValueHeads { get; init; }

    /// <summary>Dimensions of a head; even. Heads × this need not be <see cref="HiddenSize"/>.</summary>
    public required int HeadDim { get; init; }

    /// <summary>Added to the mean square in RMSNorm.</summary>
    public required double RmsNormEps { get; init; }

    /// <summary>The context length of <c>max_position_embeddings</c>; see <see cref="MaxModelLength"/>.</summary>
    public required int MaxPositionEmbeddings { get; init; }

    /// <summary>Always <c>silu</c>.</summary>
    public required string HiddenAct { get; init; }

    /// <summary>The head's matrix is the embedding's.</summary>
    public required bool TieWordEmbeddings { get; init; }

    /// <summary>Bias on the query, key and value projections.</summary>
    public required bool AttentionBias { get; init; }

    /// <summary>Bias on the attention's output projection.</summary>
    public required bool AttentionOutputBias { get; init; }

    /// <summary>
    /// Most recent positions, the token's own among them, that a sliding layer attends to; null where no layer slides.
    /// </summary>
    public required int? SlidingWindow { get; init; }

    /// <summary>Which layers slide: one entry per layer, or empty where none does.</summary>
    public required IReadOnlyList<bool> SlidingLayers { get; init; }

    /// <summary>The rotary embedding.</summary>
    public required RopeConfig Rope { get; init; }

    /// <summary>
    /// The longest context: stretched by the factor of linear, dynamic and yarn scaling (yarn: from the original length), taken as
    /// written for llama3.
    /// </summary>
    public override long MaxModelLength => Rope.RopeType switch
    {
        RopeType.Linear or RopeType.Dynamic => (long)(MaxPositionEmbeddings * Rope.Factor),
        RopeType.Yarn => (long)((Rope.OriginalMaxPositionEmbeddings ?? MaxPositionEmbeddings) * Rope.Factor),
        _ => MaxPositionEmbeddings,
    };

    /// <summary>Residual, normed input, qkv, attention, gate and up, and their product.</summary>
    public override long ActivationElements =>
        (4L * HiddenSize) + (2L * NumAttentionHeads * HeadDim) + (2L * NumKeyValueHeads * HeadDim) + (3L * IntermediateSize);

    /// <summary>The window of a layer, or null where it attends to everything before it.</summary>
    public int? SlidingWindowAt(int layer) => SlidingLayers.Count > 0 && SlidingLayers[layer] ? SlidingWindow : null;
}
