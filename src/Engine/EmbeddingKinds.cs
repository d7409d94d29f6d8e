namespace LocalLlm;

/// <summary>The kinds of embedding that a model computes (bge-m3 computes all three in one pass).</summary>
[Flags]
public enum EmbeddingKinds
{
    /// <summary>Nothing.</summary>
    None = 0,

    /// <summary>One vector for the whole text.</summary>
    Dense = 1,

    /// <summary>A weight for each distinct token of the text.</summary>
    Sparse = 2,

    /// <summary>A vector for each token (ColBERT's late interaction).</summary>
    MultiVector = 4,
}
