namespace LocalLlm.Sampling;

/// <summary>
/// The buffers for sampling one row. One thread at a time reuses them from row to row. About 2.6 MB for 152,064 tokens.
/// </summary>
internal sealed class SamplerScratch(int vocabularySize)
{
    /// <summary>[vocab]: the row after the processors.</summary>
    public float[] Row { get; } = new float[vocabularySize];

    /// <summary>[vocab]: the candidates' ids, ascending, at the beginning of the buffer.</summary>
    public int[] Ids { get; } = new int[vocabularySize + RowScan.Lanes];

    /// <summary>The candidates' logits, parallel to <see cref="Ids"/>.</summary>
    public float[] Values { get; } = new float[vocabularySize + RowScan.Lanes];

    /// <summary>The candidates' weights, parallel to <see cref="Ids"/>.</summary>
    public float[] Weights { get; } = new float[vocabularySize];

    public double[] BlockMasses { get; } = new double[RowScan.Blocks(vocabularySize)];

    public int[] Counts { get; } = new int[RadixSelect.Bins];

    public double[] Masses { get; } = new double[RadixSelect.MassScratch];

    /// <summary>The members of one bin of the nucleus search.</summary>
    public int[] MemberIds { get; } = new int[Nucleus.MaxMembers];

    public float[] MemberValues { get; } = new float[Nucleus.MaxMembers];

    public float[] MemberWeights { get; } = new float[Nucleus.MaxMembers];

    /// <summary>Scan of the model's row.</summary>
    public RowScan RawScan { get; } = new(vocabularySize);

    /// <summary>Scan of the processed row, if processors are active.</summary>
    public RowScan ProcessedScan { get; } = new(vocabularySize);
}
