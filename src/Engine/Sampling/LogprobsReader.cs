namespace LocalLlm.Sampling;

/// <summary>Reads log-probabilities from a row: those of one token and of the k best.</summary>
/// <remarks>
/// Tokens are ordered by value, equal values by ascending id. A token's rank is 1 + the number of larger values + the number of equal
/// values with a lower id. Without ties this is vLLM's rank (the count of values at least as large). With ties vLLM gives the chosen token
/// the last place of its group, or its place among the top ones if it is one of them.
/// </remarks>
internal static class LogprobsReader
{
    /// <summary>Reads one row.</summary>
    /// <param name="row">[vocab], already scanned and valid.</param>
    /// <param name="scan">The scan of this row.</param>
    /// <param name="scale">1 / temperature, or 1.</param>
    /// <param name="chosen">The token at this position.</param>
    /// <param name="k">How many of the best tokens to read; 0 to the vocabulary's size.</param>
    /// <param name="asLogits">Whether to return the scaled logits instead of their log-softmax.</param>
    /// <param name="scratch">Buffers; those for candidates are overwritten.</param>
    public static TokenLogprobs Read(
        ReadOnlySpan<float> row, RowScan scan, double scale, int chosen, int k, bool asLogits, SamplerScratch scratch)
    {
        double offset = 0, logSum = 0;
        if (!asLogits)
        {
            offset = scan.Max;
            logSum = Math.Log(VectorMath.BlockMasses(row, scan.Max, (float)scale, scratch.BlockMasses));
        }

        var top = new TokenLogprob[k];
        if (k > 0)
            FillTop(row, scan, top, scale, offset, logSum, scratch);
        var rank = 1 + VectorMath.CountBefore(row, row[chosen], chosen);
        return new TokenLogprobs(new TokenLogprob(chosen, ValueOf(row[chosen], scale, offset, logSum), rank), top);
    }

    private static void FillTop(
        ReadOnlySpan<float> row, RowScan scan, TokenLogprob[] top, double scale, double offset, double logSum, SamplerScratch scratch)
    {
        var least = top.Length < row.Length ? Categorical.TopKThreshold(row, scan, top.Length, scratch) : float.NegativeInfinity;
        var count = scan.Gather(row, least, scratch.Ids, scratch.Values);
        var keys = new RankedToken[top.Length];
        var above = 0;
        for (var i = 0; i < count; i++)
            above += scratch.Values[i] > least ? 1 : 0;
        var ties = top.Length - above;
        var filled = 0;
        for (var i = 0; i < count && filled < keys.Length; i++)
        {
            if (scratch.Values[i] > least || ties-- > 0)
                keys[filled++] = new RankedToken(scratch.Values[i], scratch.Ids[i]);
        }

        keys.AsSpan().Sort();
        for (var i = 0; i < keys.Length; i++)
            top[i] = new TokenLogprob(keys[i].Id, ValueOf(keys[i].Logit, scale, offset, logSum), i + 1);
    }

    private static float ValueOf(float logit, double scale, double offset, double logSum) => (float)((logit - offset) * scale - logSum);

    private readonly record struct RankedToken(float Logit, int Id) : IComparable<RankedToken>
    {
        public int CompareTo(RankedToken other) =>
            Logit > other.Logit ? -1 : Logit < other.Logit ? 1 : Id.CompareTo(other.Id);
    }
}
