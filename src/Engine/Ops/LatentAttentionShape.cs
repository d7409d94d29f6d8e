namespace LocalLlm.Ops;

/// <summary>The sizes of a latent attention layer (multi-head latent attention, arXiv 2405.04434).</summary>
/// <param name="Heads">Query heads, of all ranks or of this one.</param>
/// <param name="Rank">Width of the latent vector of keys and values, which all heads share.</param>
/// <param name="PlainDim">Dimensions of a query or key head without positions.</param>
/// <param name="RotaryDim">Rotated dimensions, even; a token's key has them once for all heads.</param>
/// <param name="ValueDim">Dimensions of a value head.</param>
/// <param name="Scale">Factor on the scores.</param>
/// <param name="Interleaved">Rotated pairs are adjacent elements; false: they lie half the rotated part apart.</param>
internal sealed record LatentAttentionShape(
    int Heads, int Rank, int PlainDim, int RotaryDim, int ValueDim, float Scale, bool Interleaved)
{
    /// <summary>Dimensions of a query head: without positions first.</summary>
    public int QueryDim => PlainDim + RotaryDim;

    /// <summary>What a token stores: its latent vector, then the rotated part of its key.</summary>
    public int RowWidth => Rank + RotaryDim;
}
