namespace LocalLlm.Models;

/// <summary>
/// What config.json leaves unsaid for one architecture of dense decoders: the defaults and fixed properties of transformers' configuration
/// and model classes.
/// </summary>
internal sealed record DecoderDefaults
{
    /// <summary>Context length where <c>max_position_embeddings</c> is absent.</summary>
    public required int MaxPositionEmbeddings { get; init; }

    /// <summary>Head size where <c>head_dim</c> is absent; null: hidden size / heads.</summary>
    public int? HeadDim { get; init; }

    /// <summary>Beginning-of-sequence id where absent.</summary>
    public int? BosTokenId { get; init; }

    /// <summary>End-of-sequence id where absent.</summary>
    public int? EosTokenId { get; init; }

    /// <summary>Whatever <c>attention_bias</c> says: query, key and value projections have a bias, the output projection none.</summary>
    public bool HasFixedQkvBias { get; init; }

    /// <summary>How <c>sliding_window</c> is read.</summary>
    public SlidingWindowKind Window { get; init; }
}
