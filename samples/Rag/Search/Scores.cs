namespace LocalLlm.Samples.Rag.Search;

/// <summary>How well a text fits a query.</summary>
/// <param name="Dense">The cosine of the whole texts, −1 to 1.</param>
/// <param name="Sparse">The weight of the tokens that query and text share, as a share of the query's own weight: about 1 if the text has
/// all of them, 0 if it has none.</param>
/// <param name="MultiVector">The mean over the query's tokens of their best match in the text, −1 to 1.</param>
/// <param name="Hybrid">The weighted mean of the three, −1 to 1.</param>
internal readonly record struct Scores(double Dense, double Sparse, double MultiVector, double Hybrid)
{
    /// <summary>
    /// The parts of <see cref="TextEmbedding.HybridScore"/>, except for the sparse one. A sum over tokens has no bound, so a name of many
    /// tokens would lift every text with that name over any threshold. Here the sum is divided by the query's score with itself, and counts
    /// as at most 1. For one query this does not change the order of texts by sparse scores.
    /// </summary>
    public static Scores Of(TextVectors query, TextVectors text, HybridWeights weights)
    {
        var (one, other) = (query.Embedding, text.Embedding);
        var own = query.SparseSelf;
        var sparse = own > 0 ? TextEmbedding.SparseScore(one, other) / own : 0;
        var (dense, multiVector) = (TextEmbedding.DenseScore(one, other), TextEmbedding.MultiVectorScore(one, other));
        var sum = weights.Dense + weights.Sparse + weights.MultiVector;
        return new(dense, sparse, multiVector, ((weights.Dense * dense) + (weights.Sparse * Math.Min(1, sparse)) + (weights.MultiVector * multiVector)) / sum);
    }
}
