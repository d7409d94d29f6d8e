namespace LocalLlm.Models;

/// <summary>
/// The shape of a dense decoder with grouped-query attention, rotary positions and a gated MLP, which several families share.
/// </summary>
internal record DecoderConfig : TransformerConfig
{
    /// <summary>Width of the MLP.</summary>
    public required int IntermediateSize { get; init; }

    /// <summary>Query heads.</summary>
    public required int NumAttentionHeads { get; init; }

    /// <summary>Key and value heads; divides <see cref="NumAttentionHeads"/>.</summary>
    public required int NumKeyValueHeads { get; init; }

    /// <summary>Dimensions of a head; even. Heads × this need not be <see cref="TransformerConfig.HiddenSize"/>.</summary>
    public required int HeadDim { get; init; }

    /// <summary>Always <c>silu</c>.</summary>
    public required string HiddenAct { get; init; }

    /// <summary>Bias on the query, key and value projections.</summary>
    public required bool AttentionBias { get; init; }

    /// <summary>Bias on the attention's output projection.</summary>
    public required bool AttentionOutputBias { get; init; }

    /// <summary>
    /// How many of the most recent positions a sliding layer attends to, the token's own included; null: no layer slides.
    /// </summary>
    public required int? SlidingWindow { get; init; }

    /// <summary>Which layers slide: one entry per layer; empty: none does.</summary>
    public required IReadOnlyList<bool> SlidingLayers { get; init; }

    /// <inheritdoc/>
    public override int RotaryDim => HeadDim;

    /// <summary>Residual stream, normalised input, qkv, attention, gate and up, and the product of the last two.</summary>
    public override long ActivationElements =>
        (4L * HiddenSize) + (2L * NumAttentionHeads * HeadDim) + (2L * NumKeyValueHeads * HeadDim) + (3L * IntermediateSize);

    /// <summary>The window of a layer; null: it attends to everything before it.</summary>
    public int? SlidingWindowAt(int layer) => SlidingLayers.Count > 0 && SlidingLayers[layer] ? SlidingWindow : null;
}
