namespace LocalLlm.Models.XlmRoberta;

/// <summary>The shape of an XLM-RoBERTa encoder.</summary>
internal sealed record XlmRobertaConfig : EncoderConfig
{
    /// <summary>Width of the feed-forward layers.</summary>
    public required int IntermediateSize { get; init; }

    /// <summary>Encoder layers.</summary>
    public required int NumHiddenLayers { get; init; }

    /// <summary>Attention heads; divides <see cref="EncoderConfig.HiddenSize"/>.</summary>
    public required int NumAttentionHeads { get; init; }

    /// <summary>Rows of the position embedding; the first <see cref="PadTokenId"/> + 1 belong to no position.</summary>
    public required int PositionRows { get; init; }

    /// <summary>Rows of the token-type embedding; all tokens are of type 0.</summary>
    public required int TypeVocabSize { get; init; }

    /// <summary>The padding token, after which positions begin.</summary>
    public required int PadTokenId { get; init; }

    /// <summary>Added to the variance in layer normalisation.</summary>
    public required double LayerNormEps { get; init; }

    /// <inheritdoc/>
    public override int MaxModelLength => PositionRows - PadTokenId - 1;
}
