namespace LocalLlm.Planning;

/// <summary>How long the ranks of a group take to sum their parts within recorded steps, using the engine's own kernel.</summary>
internal static class AllReduceTimes
{
    private const string MeasuredCard = "H200-141G";
    private const int MeasuredRanks = 2;

    // docs/benchmarks.md, "Sums between GPUs": two cards linked by NVLink, one-shot.
    private static readonly (double Bytes, double Seconds)[] s_measured = [(16 << 10, 2.2e-6), (64 << 10, 2.6e-6), (128 << 10, 3.3e-6), (256 << 10, 4.1e-6)];

    /// <summary>Seconds for a sum of this many bytes, interpolated linearly between measured sizes.</summary>
    public static double Seconds(long bytes)
    {
        if (bytes <= s_measured[0].Bytes)
            return s_measured[0].Seconds;
        var next = Array.FindIndex(s_measured, point => point.Bytes >= bytes);
        next = next < 0 ? s_measured.Length - 1 : next;
        var (from, to) = (s_measured[next - 1], s_measured[next]);
        return from.Seconds + ((bytes - from.Bytes) / (to.Bytes - from.Bytes) * (to.Seconds - from.Seconds));
    }

    /// <summary>Whether the times were measured for these cards and this number of them; else they are an assumption.</summary>
    public static bool AreMeasured(IEnumerable<GpuCard> cards, int ranks) =>
        ranks == MeasuredRanks && cards.All(card => KnownCards.TryFind(card.Name)?.Name == MeasuredCard);
}
