namespace LocalLlm;

/// <summary>The weight of each kind of score in a hybrid score. The score is a weighted mean, so the weights may have any sum.</summary>
public sealed record HybridWeights
{
    /// <summary>bge-m3's own weights for its three outputs.</summary>
    public static HybridWeights Default { get; } = new(0.4, 0.2, 0.4);

    /// <summary>Sets the weights: each 0 or more, and at least one above 0.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A weight is negative or not finite, all are 0, or their sum is not
    /// finite.</exception>
    public HybridWeights(double dense, double sparse, double multiVector)
    {
        (Dense, Sparse, MultiVector) = (Checked(dense, nameof(dense)), Checked(sparse, nameof(sparse)), Checked(multiVector, nameof(multiVector)));
        if (Sum == 0)
            throw new ArgumentOutOfRangeException(nameof(dense), "All three weights are 0; give at least one that is above.");
        if (!double.IsFinite(Sum))
            throw new ArgumentOutOfRangeException(nameof(dense), "The sum of the weights is not finite; give smaller weights.");
    }

    /// <summary>Weight of <see cref="TextEmbedding.DenseScore"/>.</summary>
    public double Dense { get; }

    /// <summary>Weight of <see cref="TextEmbedding.SparseScore"/>.</summary>
    public double Sparse { get; }

    /// <summary>Weight of <see cref="TextEmbedding.MultiVectorScore"/>.</summary>
    public double MultiVector { get; }

    /// <summary>The kinds of embedding that these weights need.</summary>
    public EmbeddingKinds Kinds => (Dense > 0 ? EmbeddingKinds.Dense : 0) | (Sparse > 0 ? EmbeddingKinds.Sparse : 0) | (MultiVector > 0 ? EmbeddingKinds.MultiVector : 0);

    internal double Sum => Dense + Sparse + MultiVector;

    /// <summary>These weights without the kinds that a model does not compute.</summary>
    /// <returns>The weights; null if none is left.</returns>
    public HybridWeights? Within(EmbeddingKinds kinds)
    {
        var (dense, sparse, multiVector) = (Kept(EmbeddingKinds.Dense, Dense), Kept(EmbeddingKinds.Sparse, Sparse), Kept(EmbeddingKinds.MultiVector, MultiVector));
        return dense + sparse + multiVector > 0 ? new(dense, sparse, multiVector) : null;

        double Kept(EmbeddingKinds kind, double weight) => kinds.HasFlag(kind) ? weight : 0;
    }

    private static double Checked(double weight, string name) => double.IsFinite(weight) && weight >= 0
        ? weight
        : throw new ArgumentOutOfRangeException(name, weight, "A weight is a number of 0 or more.");
}
