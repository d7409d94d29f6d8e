namespace LocalLlm;

/// <summary>What was asked of one text; what was not is null.</summary>
public sealed record TextEmbedding
{
    /// <summary>[dimensions], of length 1 where the model normalises.</summary>
    public IReadOnlyList<float>? Dense { get; init; }

    /// <summary>Token id → its largest weight in the text, above 0. Special tokens have none.</summary>
    public IReadOnlyDictionary<int, float>? Sparse { get; init; }

    /// <summary>A vector of length 1 for each token but the first, in their order.</summary>
    public IReadOnlyList<IReadOnlyList<float>>? MultiVector { get; init; }

    /// <summary>Tokens of the text, special ones included.</summary>
    public int TokenCount { get; init; }

    /// <summary>The dot product of the two dense vectors: their cosine where both are normalised.</summary>
    /// <exception cref="InvalidOperationException">One of them has no dense vector.</exception>
    public static double DenseScore(TextEmbedding query, TextEmbedding passage)
    {
        ArgumentNullException.ThrowIfNull(query);
        ArgumentNullException.ThrowIfNull(passage);
        return LateInteraction.Dot(Need(query.Dense), Need(passage.Dense));
    }

    /// <summary>The sum over tokens that both have of the products of their weights (bge-m3's lexical matching).</summary>
    /// <exception cref="InvalidOperationException">One of them has no sparse weights.</exception>
    public static double SparseScore(TextEmbedding query, TextEmbedding passage)
    {
        ArgumentNullException.ThrowIfNull(query);
        ArgumentNullException.ThrowIfNull(passage);
        var weights = Need(passage.Sparse);
        return Need(query.Sparse).Sum(token => weights.TryGetValue(token.Key, out var weight) ? (double)token.Value * weight : 0);
    }

    /// <summary>
    /// The mean over the query's tokens of their best match in the passage (Khattab and Zaharia, ColBERT, 2020; the mean as in bge-m3); 0
    /// where one of them has no tokens but its first.
    /// </summary>
    /// <exception cref="InvalidOperationException">One of them has no vectors of tokens.</exception>
    public static double MultiVectorScore(TextEmbedding query, TextEmbedding passage) => CompareTokens(query, passage, CancellationToken.None);

    /// <summary>
    /// The weighted mean of the scores of those kinds whose weight is not 0 (Chen et al., "BGE M3-Embedding", 2024, hybrid retrieval).
    /// </summary>
    /// <exception cref="InvalidOperationException">One of them has not what a weight asks for.</exception>
    public static double HybridScore(TextEmbedding query, TextEmbedding passage, HybridWeights weights) => Compare(query, passage, weights, CancellationToken.None);

    /// <summary><see cref="HybridScore"/>, which may be given up.</summary>
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
        where T : class => value ?? throw new InvalidOperationException("The embedding was made without this kind; ask for it by EmbeddingKinds.");
}
