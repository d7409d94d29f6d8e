namespace LocalLlm.Tool.Bench;

/// <summary>Mean and percentiles of a list of times.</summary>
/// <param name="Mean">Arithmetic mean.</param>
/// <param name="P50">Median.</param>
/// <param name="P99">99 of 100 values are at most this.</param>
internal readonly record struct Distribution(double Mean, double P50, double P99)
{
    /// <summary>
    /// The distribution of <paramref name="values"/>, multiplied by <paramref name="scale"/>; all zero if there are none.
    /// </summary>
    public static Distribution Of(IReadOnlyCollection<double> values, double scale = 1)
    {
        if (values.Count == 0)
            return default;
        double[] sorted = [.. values.Order()];
        return new(scale * sorted.Average(), scale * Percentile(sorted, 50), scale * Percentile(sorted, 99));
    }

    /// <summary>The percentile of ascending values, interpolated linearly as numpy does.</summary>
    public static double Percentile(IReadOnlyList<double> sorted, double percent)
    {
        var position = percent / 100 * (sorted.Count - 1);
        var below = (int)position;
        var above = Math.Min(below + 1, sorted.Count - 1);
        return sorted[below] + ((position - below) * (sorted[above] - sorted[below]));
    }
}
