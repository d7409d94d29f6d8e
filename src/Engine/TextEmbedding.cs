namespace LocalLlm;

/// <summary>The embeddings of one text; kinds that were not requested are null.</summary>
public sealed record TextEmbedding
{
    /// <summary>[dimensions], of length 1 if the model normalises.</summary>
    public IReadOnlyList<float>? Dense { get; init; }

    /// <summary>Maps token ids to their largest weight in the text, above 0. Special tokens have none.</summary>
    public IReadOnlyDictionary<int, float>? Sparse { get; init; }

    /// <summary>A vector of length 1 for each token but the first, in token order.</summary>
    public IReadOnlyList<IReadOnlyList<float>>? MultiVector { get; init; }

    /// <summary>Tokens of the text, special ones included.</summary>
    public int TokenCount { get; init; }

    /// <summary>The dot product of the two dense vectors, which is their cosine if both are normalised.</summary>
    /// <exception cref="InvalidOperationException">One of the embeddings has no dense vector.</exception>
    public static double DenseScore(TextEmbedding query, TextEmbedding passage)
    {
        ArgumentNullException.ThrowIfNull(query);
        ArgumentNullException.ThrowIfNull(passage);
        return LateInteraction.Dot(Need(query.Dense), Need(passage.Dense));
    }

    /// <summary>The sum, over tokens that both texts have, of the product of their weights (bge-m3's lexical matching).</summary>
    /// <exception cref="InvalidOperationException">One of the embeddings has no sparse weights.</exception>
    public static double SparseScore(TextEmbedding query, TextEmbedding passage)
    {
        ArgumentNullException.ThrowIfNull(query);
        ArgumentNullException.ThrowIfNull(passage);
        var weights = Need(passage.Sparse);
        return Need(query.Sparse).Sum(token => weights.TryGetValue(token.Key, out var weight) ? (double)token.Value * weight : 0);
    }

    /// <summary>
    /// The best match in the passage for each query token, averaged over the query's tokens (Khattab and Zaharia, ColBERT, 2020; the mean
    /// as in bge-m3). 0 if either text has only its first token.
    /// </summary>
    /// <exception cref="InvalidOperationException">One of the embeddings has no token vectors.</exception>
    public static double MultiVectorScore(TextEmbedding query, TextEmbedding passage) => CompareTokens(query, passage, CancellationToken.None);

    /// <summary>
    /// The weighted mean of the scores whose weight is not 0 (Chen et al., "BGE M3-Embedding", 2024, hybrid retrieval).
    /// </summary>
    /// <exception cref="InvalidOperationException">One of the embeddings lacks a kind that has a weight.</exception>
    public static double HybridScore(TextEmbedding query, TextEmbedding passage, HybridWeights weights) => Compare(query, passage, weights, CancellationToken.None);

    /// <summary><see cref="HybridScore"/> with cancellation.</summary>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    internal static double Compare(TextEmbedding query, TextEmbedding passage, HybridWeights weights, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(weights);
        return ((weights.Dense > 0 ? weights.Dense * DenseScore(query, passage) : 0)
            + (weights.Sparse > 0 ? weights.Sparse * SparseScore(query, passage) : 0)
            + (weights.MultiVector > 0 ? weights.MultiVector * CompareTokens(query, passage, cancellationToken) : 0)) / weights.Sum;
    }

    private static double CompareTokens(TextEmbedding query, TextEmbedding passage, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(query);
        ArgumentNullException.ThrowIfNull(passage);
        return LateInteraction.Score(Need(query.MultiVector), Need(passage.MultiVector), cancellationToken);
    }

    private static T Need<T>(T? value)
        where T : class => value ?? throw new InvalidOperationException("The embedding does not have this kind; request it with EmbeddingKinds.");
}
