namespace LocalLlm.Sampling;

/// <summary>
/// Finds where top_p cuts, without sorting. Most rows leave few candidates and go to <see cref="RadixSelect"/> directly. A flat row is
/// first binned by logit, and only the bin that contains the target is examined closely.
/// </summary>
internal static class Nucleus
{
    public const int MaxMembers = 8192;
    private const int Bins = 1024;

    // Consecutive values often fall into one bin; with separate sums, an addition need not wait for the previous one.
    private const int Copies = 4;

    /// <summary>
    /// The cut that keeps the smallest set of the largest logits whose weights reach the target, lower ids first among equal logits.
    /// </summary>
    /// <param name="ids">The candidates' ids, ascending.</param>
    /// <param name="values">The candidates' logits; they include the whole nucleus.</param>
    /// <param name="weights">The candidates' weights.</param>
    /// <param name="max">The largest logit.</param>
    /// <param name="target">The weight to reach: top_p of the total, above 0.</param>
    /// <param name="scratch">Buffers; the masses and members are overwritten.</param>
    public static Cut Find(
        ReadOnlySpan<int> ids, ReadOnlySpan<float> values, ReadOnlySpan<float> weights, float max, double target, SamplerScratch scratch)
    {
        if (values.Length <= MaxMembers)
            return RadixSelect.ReachMass(values, weights, ids, target, scratch.Masses);

        var least = max;
        foreach (var value in values)
            least = Math.Min(least, value);
        // All logits are equal: each weighs 1.
        if (least == max)
            return new Cut(max, ids[(int)Math.Clamp(Math.Ceiling(target), 1, ids.Length) - 1]);

        var scale = (Bins - 1) / (max - least);
        var bin = CriticalBin(values, weights, max, scale, target, scratch.Masses, out var before);
        var members = 0;
        for (var i = 0; i < values.Length; i++)
        {
            if (BinOf(values[i], max, scale) != bin)
                continue;
            if (members == MaxMembers)
                return RadixSelect.ReachMass(values, weights, ids, target, scratch.Masses);
            scratch.MemberIds[members] = ids[i];
            scratch.MemberValues[members] = values[i];
            scratch.MemberWeights[members++] = weights[i];
        }

        return RadixSelect.ReachMass(
            scratch.MemberValues.AsSpan(0, members), scratch.MemberWeights.AsSpan(0, members), scratch.MemberIds.AsSpan(0, members),
            target, scratch.Masses, before);
    }

    /// <summary>The bin in which the target is reached; <paramref name="before"/> is the weight of the bins with larger values.</summary>
    private static int CriticalBin(
        ReadOnlySpan<float> values, ReadOnlySpan<float> weights, float max, float scale, double target, Span<double> masses, out double before)
    {
        masses.Clear();
        for (var i = 0; i < values.Length; i++)
            masses[BinOf(values[i], max, scale) * Copies + (i & (Copies - 1))] += weights[i];

        before = 0;
        var lastFilled = 0;
        var beforeLast = 0.0;
        for (var bin = 0; bin < Bins; bin++)
        {
            var sums = masses.Slice(bin * Copies, Copies);
            var mass = sums[0] + sums[1] + (sums[2] + sums[3]);
            if (mass <= 0)
                continue;
            (lastFilled, beforeLast) = (bin, before);
            before += mass;
            if (before >= target)
                break;
        }

        before = beforeLast;
        return lastFilled;
    }

    /// <summary>
    /// Bin 0 holds the largest values. Every operation preserves order, so values in different bins are ordered as their bins are.
    /// </summary>
    private static int BinOf(float value, float max, float scale) => Math.Min((int)((max - value) * scale), Bins - 1);
}
