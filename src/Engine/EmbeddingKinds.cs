namespace LocalLlm;

/// <summary>What an embedding model can say of a text (bge-m3 says all three in one pass).</summary>
[Flags]
public enum EmbeddingKinds
{
    /// <summary>Nothing.</summary>
    None = 0,

    /// <summary>One vector for the whole text.</summary>
    Dense = 1,

    /// <summary>A weight for each token that the text has.</summary>
    Sparse = 2,

    /// <summary>A vector for each token (ColBERT's late interaction).</summary>
    MultiVector = 4,
}
