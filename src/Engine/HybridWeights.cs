namespace LocalLlm;

/// <summary>How much each kind of score counts in a hybrid one. Their sum may be any: the score is a weighted mean.</summary>
public sealed record HybridWeights
{
    /// <summary>bge-m3's own weights for its three outputs.</summary>
    public static HybridWeights Default { get; } = new(0.4, 0.2, 0.4);

    /// <summary>Weights of 0 or more, at least one of them above.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A weight is negative or no number, all are 0, or their sum is no number.</exception>
    public HybridWeights(double dense, double sparse, double multiVector)
    {
        (Dense, Sparse, MultiVector) = (Checked(dense, nameof(dense)), Checked(sparse, nameof(sparse)), Checked(multiVector, nameof(multiVector)));
        if (Sum == 0)
            throw new ArgumentOutOfRangeException(nameof(dense), "All three weights are 0; give at least one that is above.");
        if (!double.IsFinite(Sum))
            throw new ArgumentOutOfRangeException(nameof(dense), "The weights are so large that their sum is no number; give smaller ones.");
    }

    /// <summary>Of <see cref="TextEmbedding.DenseScore"/>.</summary>
    public double Dense { get; }

    /// <summary>Of <see cref="TextEmbedding.SparseScore"/>.</summary>
    public double Sparse { get; }

    /// <summary>Of <see cref="TextEmbedding.MultiVectorScore"/>.</summary>
    public double MultiVector { get; }

    /// <summary>What an embedding must hold for these weights.</summary>
    public EmbeddingKinds Kinds => (Dense > 0 ? EmbeddingKinds.Dense : 0) | (Sparse > 0 ? EmbeddingKinds.Sparse : 0) | (MultiVector > 0 ? EmbeddingKinds.MultiVector : 0);

    internal double Sum => Dense + Sparse + MultiVector;

    /// <summary>These weights without the kinds that a model does not make.</summary>
    /// <returns>Null where nothing is left.</returns>
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
