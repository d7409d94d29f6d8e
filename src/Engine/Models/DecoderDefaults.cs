namespace LocalLlm.Models;

/// <summary>
/// Values for what config.json omits, for one architecture of dense decoders: the defaults and fixed properties of transformers'
/// configuration and model classes.
/// </summary>
internal sealed record DecoderDefaults
{
    /// <summary>Context length where <c>max_position_embeddings</c> is absent.</summary>
    public required int MaxPositionEmbeddings { get; init; }

    /// <summary>Head size where <c>head_dim</c> is absent; null: hidden size / heads.</summary>
    public int? HeadDim { get; init; }

    /// <summary>Beginning-of-sequence id where the field is absent.</summary>
    public int? BosTokenId { get; init; }

    /// <summary>End-of-sequence id where the field is absent.</summary>
    public int? EosTokenId { get; init; }

    /// <summary>Of the attention, only query, key and value projections have a bias, whatever <c>attention_bias</c> says.</summary>
    public bool HasFixedQkvBias { get; init; }

    /// <summary>How <c>sliding_window</c> is read.</summary>
    public SlidingWindowKind Window { get; init; }
}
