namespace LocalLlm.Samples.Rag.Search;

/// <summary>How well a text fits a query, by each kind and together.</summary>
internal readonly record struct Scores(double Dense, double Sparse, double MultiVector, double Hybrid)
{
    /// <summary><see cref="TextEmbedding.HybridScore"/>, and its three parts.</summary>
    public static Scores Of(TextVectors query, TextVectors text, HybridWeights weights)
    {
        var (one, other) = (query.Embedding, text.Embedding);
        var (dense, sparse, multiVector) = (TextEmbedding.DenseScore(one, other), TextEmbedding.SparseScore(one, other), TextEmbedding.MultiVectorScore(one, other));
        var sum = weights.Dense + weights.Sparse + weights.MultiVector;
        return new(dense, sparse, multiVector, ((weights.Dense * dense) + (weights.Sparse * sparse) + (weights.MultiVector * multiVector)) / sum);
    }
}
