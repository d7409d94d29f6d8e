namespace LocalLlm.Sampling;

/// <summary>
/// Samples one token of a row after temperature, min_p, top_k and top_p, in this order, each applied to what the previous one left, as in
/// vLLM. Inverts the cumulative distribution in token-id order: one uniform number per token, no sort.
/// </summary>
/// <remarks>
/// Equal logits: top_k keeps every token that equals the k-th, as vLLM does; top_p keeps the smallest set whose probability reaches p,
/// lower ids first. Weights are float32, sums are double.
/// </remarks>
internal static class Categorical
{
    /// <summary>Draws a token.</summary>
    /// <param name="row">[vocab], already scanned and valid.</param>
    /// <param name="scan">The scan of this row.</param>
    /// <param name="sampling">The sampling parameters, not greedy.</param>
    /// <param name="uniform">A random number in [0, 1).</param>
    /// <param name="scratch">Buffers; those for candidates are overwritten.</param>
    /// <param name="cut">The tokens that could be drawn.</param>
    public static int Draw(
        ReadOnlySpan<float> row, RowScan scan, ValidatedSampling sampling, double uniform, SamplerScratch scratch, out Cut cut)
    {
        var scale = (float)(1 / sampling.Temperature);
        var floor = float.NegativeInfinity;
        if (sampling.MinP > 0)
            floor = (float)(scan.Max + sampling.Temperature * Math.Log(sampling.MinP));
        if (sampling.TopK > 0)
            floor = Math.Max(floor, TopKThreshold(row, scan, sampling.TopK, scratch));

        cut = new Cut(floor, int.MaxValue);
        var total = float.IsNegativeInfinity(floor) ? VectorMath.BlockMasses(row, scan.Max, scale, scratch.BlockMasses) : 0;
        if (float.IsNegativeInfinity(floor) && sampling.TopP >= 1)
            return DrawFromRow(row, scan.Max, scale, uniform * total, scratch);

        var least = float.IsNegativeInfinity(floor) ? NucleusBound(row.Length, scan.Max, total, sampling) : floor;
        var count = scan.Gather(row, least, scratch.Ids, scratch.Values);
        ReadOnlySpan<int> ids = scratch.Ids.AsSpan(0, count);
        ReadOnlySpan<float> values = scratch.Values.AsSpan(0, count);
        var weights = scratch.Weights.AsSpan(0, count);
        VectorMath.Weights(values, scan.Max, scale, weights);
        if (!float.IsNegativeInfinity(floor))
            total = VectorMath.KeptMasses(ids, values, weights, cut, scratch.BlockMasses);
        if (sampling.TopP < 1)
        {
            cut = Nucleus.Find(ids, values, weights, scan.Max, sampling.TopP * total, scratch);
            total = VectorMath.KeptMasses(ids, values, weights, cut, scratch.BlockMasses);
        }

        return DrawFromCandidates(ids, values, weights, cut, uniform * total, scratch);
    }

    /// <summary>The k-th largest logit; k must be below the row's length.</summary>
    internal static float TopKThreshold(ReadOnlySpan<float> row, RowScan scan, int k, SamplerScratch scratch)
    {
        // At least k tokens reach the k-th largest group maximum, so the threshold is not below it, and few tokens remain to examine.
        if (k > scan.GroupMax.Length)
            return RadixSelect.KthLargest(row, k, scratch.Counts);
        var bound = RadixSelect.KthLargest(scan.GroupMax, k, scratch.Counts);
        var count = scan.Gather(row, bound, scratch.Ids, scratch.Values);
        var above = VectorMath.CountBefore(scratch.Values.AsSpan(0, count), bound, 0);
        return above < k ? bound : RadixSelect.KthLargest(scratch.Values.AsSpan(0, count), k, scratch.Counts);
    }

    /// <summary>
    /// A logit below which no token belongs to the nucleus: tokens that each weigh less than (1 - p) of the average weigh together less
    /// than 1 - p. Rounded down, with slack for the error of the float32 weights.
    /// </summary>
    private static float NucleusBound(int vocabularySize, float max, double total, ValidatedSampling sampling)
    {
        const double slack = 1e-3;
        var bound = max + sampling.Temperature * (Math.Log((1 - sampling.TopP) * total / vocabularySize) - slack);
        var rounded = (float)bound;
        return rounded > bound ? MathF.BitDecrement(rounded) : rounded;
    }

    private static int DrawFromRow(ReadOnlySpan<float> row, float max, float scale, double target, SamplerScratch scratch)
    {
        var start = FindBlock(scratch.BlockMasses.AsSpan(0, RowScan.Blocks(row.Length)), ref target) * RowScan.Block;
        var values = row[start..Math.Min(start + RowScan.Block, row.Length)];
        var weights = scratch.Weights.AsSpan(0, values.Length);
        VectorMath.Weights(values, max, scale, weights);
        var chosen = -1;
        for (var i = 0; i < weights.Length && (chosen < 0 || target >= 0); i++)
        {
            if (weights[i] <= 0)
                continue;
            target -= weights[i];
            chosen = start + i;
        }

        return chosen;
    }

    private static int DrawFromCandidates(
        ReadOnlySpan<int> ids, ReadOnlySpan<float> values, ReadOnlySpan<float> weights, Cut cut, double target, SamplerScratch scratch)
    {
        var start = FindBlock(scratch.BlockMasses.AsSpan(0, RowScan.Blocks(ids.Length)), ref target) * RowScan.Block;
        var end = Math.Min(start + RowScan.Block, ids.Length);
        var chosen = -1;
        for (var i = start; i < end && (chosen < 0 || target >= 0); i++)
        {
            if (weights[i] <= 0 || !cut.Keeps(values[i], ids[i]))
                continue;
            target -= weights[i];
            chosen = ids[i];
        }

        return chosen;
    }

    /// <summary>
    /// Finds the block with mass in which the cumulative mass passes the target, and reduces the target by the blocks before it.
    /// </summary>
    private static int FindBlock(ReadOnlySpan<double> masses, ref double target)
    {
        var found = -1;
        var rest = target;
        for (var block = 0; block < masses.Length; block++)
        {
            if (masses[block] <= 0)
                continue;
            found = block;
            target = rest;
            rest -= masses[block];
            if (rest < 0)
                break;
        }

        return found;
    }
}
