namespace LocalLlm.Samples.Rag.Search;

/// <summary>What search compares of a text, as flat arrays. What the embedding model does not make is empty.</summary>
/// <param name="Dense">One vector for the whole text.</param>
/// <param name="SparseTokens">Ids of its tokens, rising.</param>
/// <param name="SparseWeights">The weight of each.</param>
/// <param name="TokenVectors">One vector after the other.</param>
/// <param name="TokenWidth">How wide each is.</param>
internal sealed record TextVectors(float[] Dense, int[] SparseTokens, float[] SparseWeights, float[] TokenVectors, int TokenWidth)
{
    public static TextVectors Of(IReadOnlyList<float> dense, TextEmbedding? more)
    {
        var sparse = more?.Sparse?.OrderBy(token => token.Key).ToArray() ?? [];
        var tokens = more?.MultiVector ?? [];
        return new([.. dense], [.. sparse.Select(token => token.Key)], [.. sparse.Select(token => token.Value)], [.. tokens.SelectMany(vector => vector)], tokens.Count == 0 ? 0 : tokens[0].Count);
    }
}
