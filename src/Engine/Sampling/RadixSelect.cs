namespace LocalLlm.Sampling;

/// <summary>
/// Selection without sorting: the k-th largest value, or the value at which a sum of weights is reached. Values are read as unsigned keys
/// of the same order and resolved 11, 11 and 10 bits at a time. It always takes three passes, so no input is slow, and ties are exact.
/// </summary>
internal static class RadixSelect
{
    public const int Bins = 2048;

    /// <summary>Length of the scratch buffer for masses, which the nucleus search shares.</summary>
    public const int MassScratch = 4096;
    private const int Levels = 3;

    /// <summary>The k-th largest value, k from 1 to the number of values; no value may be NaN.</summary>
    /// <param name="values">Values in any order; not changed.</param>
    /// <param name="k">1 is the largest.</param>
    /// <param name="counts">Scratch buffer of length <see cref="Bins"/>.</param>
    public static float KthLargest(ReadOnlySpan<float> values, int k, Span<int> counts)
    {
        var prefix = 0u;
        for (var level = 0; level < Levels; level++)
        {
            var shift = Shift(level);
            counts.Clear();
            foreach (var value in values)
            {
                var key = Key(value);
                if (Matches(key, prefix, level))
                    counts[Bin(key, shift)]++;
            }

            var bin = Bins - 1;
            while (counts[bin] < k)
                k -= counts[bin--];
            prefix |= (uint)bin << shift;
        }

        return Value(prefix);
    }

    /// <summary>
    /// The smallest set of the largest values whose weights reach <paramref name="target"/>. A value belongs to it if the weights of all
    /// values before it (larger, or equal and earlier) sum to less than the target. The set has at least one value, and all of them if
    /// rounding leaves the target unreached.
    /// </summary>
    /// <param name="values">Values, by ascending token id.</param>
    /// <param name="weights">Weights of the values; equal for equal values.</param>
    /// <param name="ids">The token ids.</param>
    /// <param name="target">The weight to reach, above 0.</param>
    /// <param name="masses">Scratch buffer of length <see cref="Bins"/>.</param>
    /// <param name="before">The weight of larger values that are not among <paramref name="values"/>.</param>
    public static Cut ReachMass(
        ReadOnlySpan<float> values, ReadOnlySpan<float> weights, ReadOnlySpan<int> ids, double target, Span<double> masses, double before = 0)
    {
        var prefix = 0u;
        var mass = before;
        for (var level = 0; level < Levels; level++)
        {
            var shift = Shift(level);
            // -1 marks an empty bin; a bin of tokens whose weights round to 0 is not empty.
            masses[..Bins].Fill(-1);
            for (var i = 0; i < values.Length; i++)
            {
                var key = Key(values[i]);
                if (!Matches(key, prefix, level))
                    continue;
                ref var sum = ref masses[Bin(key, shift)];
                sum = Math.Max(sum, 0) + weights[i];
            }

            prefix |= (uint)ReachBin(masses, target, ref mass) << shift;
        }

        var threshold = Value(prefix);
        var last = -1;
        for (var i = 0; i < values.Length && (last < 0 || mass < target); i++)
        {
            if (values[i] != threshold)
                continue;
            mass += weights[i];
            last = ids[i];
        }

        return new Cut(threshold, last);
    }

    /// <summary>
    /// The bin in which the target is reached, or the last bin that is not empty; adds the bins of larger values to
    /// <paramref name="before"/>.
    /// </summary>
    private static int ReachBin(ReadOnlySpan<double> masses, double target, ref double before)
    {
        var reached = -1;
        var beforeReached = before;
        for (var bin = Bins - 1; bin >= 0; bin--)
        {
            if (masses[bin] < 0)
                continue;
            reached = bin;
            beforeReached = before;
            before += masses[bin];
            if (before >= target)
                break;
        }

        before = beforeReached;
        return reached;
    }

    private static int Shift(int level) => level switch { 0 => 21, 1 => 10, _ => 0 };

    private static int Bin(uint key, int shift) => (int)(key >> shift) & (shift == 0 ? 1023 : 2047);

    private static bool Matches(uint key, uint prefix, int level) => level switch
    {
        0 => true,
        1 => key >> 21 == prefix >> 21,
        _ => key >> 10 == prefix >> 10,
    };

    /// <summary>An unsigned key with the order of the float. Adding zero turns -0 into 0, which it equals.</summary>
    private static uint Key(float value)
    {
        var bits = BitConverter.SingleToUInt32Bits(value + 0f);
        return bits ^ ((uint)((int)bits >> 31) | 0x8000_0000);
    }

    private static float Value(uint key) =>
        BitConverter.UInt32BitsToSingle((key & 0x8000_0000) != 0 ? key & 0x7FFF_FFFF : ~key);
}
