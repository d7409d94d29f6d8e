namespace LocalLlm.Ops;

/// <summary>The sizes of a latent attention layer (multi-head latent attention, arXiv 2405.04434).</summary>
/// <param name="Heads">Query heads, of all ranks or of one.</param>
/// <param name="Rank">Width of the latent vector of keys and values, which all heads share.</param>
/// <param name="PlainDim">Dimensions of a query or key head without position embeddings.</param>
/// <param name="RotaryDim">Rotated dimensions, even; all heads share those of a token's key.</param>
/// <param name="ValueDim">Dimensions of a value head.</param>
/// <param name="Scale">Factor on the scores.</param>
/// <param name="Interleaved">Whether rotated pairs are adjacent elements; else they lie half the rotated part apart.</param>
internal sealed record LatentAttentionShape(
    int Heads, int Rank, int PlainDim, int RotaryDim, int ValueDim, float Scale, bool Interleaved)
{
    /// <summary>Dimensions of a query head: the plain ones, then the rotated ones.</summary>
    public int QueryDim => PlainDim + RotaryDim;

    /// <summary>Number of elements that a token stores: its latent vector, then the rotated part of its key.</summary>
    public int RowWidth => Rank + RotaryDim;
}
