namespace LocalLlm.Tool.Bench;

/// <summary>
/// When requests arrive, as vLLM's <c>bench serve</c> draws it: gaps from a gamma distribution whose shape is the burstiness and whose mean
/// follows from the rate; 1 is a Poisson process, less comes in bursts, more is steadier.
/// </summary>
internal static class ArrivalTimes
{
    /// <summary>Seconds after the start, ascending, of <paramref name="count"/> requests.</summary>
    /// <param name="count">Number of requests.</param>
    /// <param name="rate">Requests a second; infinity: all at once.</param>
    /// <param name="burstiness">Above 0.</param>
    /// <param name="seed">Of the generator.</param>
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

    // Marsaglia and Tsang, "A simple method for generating gamma variables", 2000; shapes below 1 by their boost.
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
