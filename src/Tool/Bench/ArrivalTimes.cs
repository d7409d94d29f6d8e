namespace LocalLlm.Tool.Bench;

/// <summary>
/// Arrival times of requests, drawn as in vLLM's <c>bench serve</c>: the gaps have a gamma distribution. Its shape is the
/// burstiness, and its mean follows from the rate. A burstiness of 1 is a Poisson process; lower values give bursts, higher
/// values steadier arrivals.
/// </summary>
internal static class ArrivalTimes
{
    /// <summary>The arrival times of <paramref name="count"/> requests, in seconds after the start, ascending.</summary>
    /// <param name="count">Number of requests.</param>
    /// <param name="rate">Requests per second; infinity: all at once.</param>
    /// <param name="burstiness">Above 0.</param>
    /// <param name="seed">Seed of the generator.</param>
    public static double[] Draw(int count, double rate, double burstiness, long seed)
    {
        var times = new double[count];
        if (double.IsPositiveInfinity(rate))
            return times;
        var random = new Random(unchecked((int)(seed ^ (seed >> 32))));
        var now = 0.0;
        for (var i = 0; i < count; i++)
        {
            now += Gamma(random, burstiness) / (rate * burstiness);
            times[i] = now;
        }

        return times;
    }

    // Marsaglia and Tsang, "A simple method for generating gamma variables", 2000, with their boost for shapes below 1.
    private static double Gamma(Random random, double shape)
    {
        if (shape < 1)
            return Gamma(random, shape + 1) * Math.Pow(1 - random.NextDouble(), 1 / shape);
        var d = shape - (1.0 / 3);
        var c = 1 / Math.Sqrt(9 * d);
        while (true)
        {
            var normal = Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble());
            var v = Math.Pow(1 + (c * normal), 3);
            if (v > 0 && Math.Log(1 - random.NextDouble()) < (0.5 * normal * normal) + d - (d * v) + (d * Math.Log(v)))
                return d * v;
        }
    }
}
