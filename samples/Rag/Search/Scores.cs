using System.Numerics.Tensors;

namespace LocalLlm.Samples.Rag.Search;

/// <summary>How well a text fits a query, by each kind and together.</summary>
internal readonly record struct Scores(double Dense, double Sparse, double MultiVector, double Hybrid)
{
    /// <summary>The same scores as <see cref="TextEmbedding.HybridScore"/> and its three parts, over flat arrays.</summary>
    public static Scores Of(TextVectors query, TextVectors text, HybridWeights weights)
    {
        var (dense, sparse, multiVector) = (DenseScore(query, text), SparseScore(query, text), LateInteraction.Score(query.TokenVectors, text.TokenVectors, query.TokenWidth));
        var sum = weights.Dense + weights.Sparse + weights.MultiVector;
        return new(dense, sparse, multiVector, ((weights.Dense * dense) + (weights.Sparse * sparse) + (weights.MultiVector * multiVector)) / sum);
    }

    private static double DenseScore(TextVectors query, TextVectors text) => TensorPrimitives.Dot<float>(query.Dense, text.Dense);

    /// <summary>Both lists rise, so one walk along them finds what they share.</summary>
    private static double SparseScore(TextVectors query, TextVectors text)
    {
        var score = 0.0;
        for (var (i, j) = (0, 0); i < query.SparseTokens.Length && j < text.SparseTokens.Length;)
        {
            var order = query.SparseTokens[i].CompareTo(text.SparseTokens[j]);
            if (order == 0)
                score += (double)query.SparseWeights[i] * text.SparseWeights[j];
            if (order <= 0)
                i++;
            if (order >= 0)
                j++;
        }

        return score;
    }
}
