namespace LocalLlm.Samples.Rag.Search;

/// <summary>The vectors of a text, as a store keeps them. A kind that the embedding model does not support is empty.</summary>
/// <param name="Dense">One vector for the whole text.</param>
/// <param name="SparseTokens">The ids of its tokens, ascending.</param>
/// <param name="SparseWeights">The weight of each token.</param>
/// <param name="TokenVectors">One vector for each token.</param>
internal sealed record TextVectors(float[] Dense, int[] SparseTokens, float[] SparseWeights, float[][] TokenVectors)
{
    private TextEmbedding? _embedding;
    private double? _sparseSelf;

    /// <summary>The sparse score of the text with itself.</summary>
    public double SparseSelf => _sparseSelf ??= SparseWeights.Sum(weight => (double)weight * weight);

    /// <summary>The same vectors in the form that the engine compares.</summary>
    public TextEmbedding Embedding => _embedding ??= new()
    {
        Dense = Dense,
        Sparse = SparseTokens.Zip(SparseWeights).ToDictionary(token => token.First, token => token.Second),
        MultiVector = TokenVectors,
    };

    public static TextVectors Of(TextEmbedding embedding)
    {
        var sparse = embedding.Sparse?.OrderBy(token => token.Key).ToArray() ?? [];
        return new([.. embedding.Dense ?? []], [.. sparse.Select(token => token.Key)], [.. sparse.Select(token => token.Value)], [.. embedding.MultiVector?.Select(vector => vector as float[] ?? [.. vector]) ?? []]);
    }
}
