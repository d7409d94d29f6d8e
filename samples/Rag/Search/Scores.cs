using System.Numerics.Tensors;

namespace LocalLlm.Samples.Rag.Search;

/// <summary>How well a text fits a query, by each kind and together.</summary>
internal readonly record struct Scores(double Dense, double Sparse, double MultiVector, double Hybrid)
{
    /// <summary>The same scores as <see cref="TextEmbedding.HybridScore"/> and its three parts, over flat arrays.</summary>
    public static Scores Of(TextVectors query, TextVectors text, HybridWeights weights)
    {
        var (dense, sparse, multiVector) = (DenseScore(query, text), SparseScore(query, text), MultiVectorScore(query, text));
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

    /// <summary>The mean over the query's tokens of their best match.</summary>
    private static double MultiVectorScore(TextVectors query, TextVectors text)
    {
        if (query.TokenVectors.Length == 0 || text.TokenVectors.Length == 0)
            return 0;
        var width = query.TokenWidth;
        var sum = 0.0;
        for (var i = 0; i < query.TokenVectors.Length; i += width)
        {
            var token = query.TokenVectors.AsSpan(i, width);
            var best = float.NegativeInfinity;
            for (var j = 0; j < text.TokenVectors.Length; j += width)
                best = Math.Max(best, TensorPrimitives.Dot<float>(token, text.TokenVectors.AsSpan(j, width)));
            sum += best;
        }

        return sum / (query.TokenVectors.Length / width);
    }
}
