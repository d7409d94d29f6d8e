namespace LocalLlm.Ops;

/// <summary>The fixed sizes of one attention layer on one rank.</summary>
/// <param name="Heads">Query heads of this rank.</param>
/// <param name="KvHeads">Key and value heads of this rank; divides <paramref name="Heads"/>.</param>
/// <param name="HeadDim">Elements per head, even.</param>
/// <param name="Scale">Factor on the scores, usually 1 / √HeadDim.</param>
/// <param name="SlidingWindow">Number of last positions that a token attends to, its own included; null: all.</param>
internal sealed record AttentionShape(int Heads, int KvHeads, int HeadDim, float Scale, int? SlidingWindow)
{
    /// <summary>Columns of the fused [q | k | v] projection.</summary>
    public int QkvWidth => (Heads + (2 * KvHeads)) * HeadDim;

    /// <summary>Column of the first key head in the fused projection.</summary>
    public int KeyOffset => Heads * HeadDim;

    /// <summary>Column of the first value head in the fused projection.</summary>
    public int ValueOffset => (Heads + KvHeads) * HeadDim;
}
