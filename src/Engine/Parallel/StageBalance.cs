namespace LocalLlm.Parallel;

/// <summary>Spreads layers over stages so that the fullest stage uses the smallest possible share of its memory. Pure.</summary>
internal static class StageBalance
{
    /// <summary>
    /// Number of layers of each stage. Among all splits with the smallest maximum, chooses one whose stages are near the average.
    /// </summary>
    /// <param name="layers">Bytes of each layer, in order.</param>
    /// <param name="first">Bytes that the first stage holds besides its layers: the embedding.</param>
    /// <param name="last">Bytes that the last stage holds besides its layers: the head.</param>
    /// <param name="capacities">Memory of each stage, in any unit. A stage's fullness is its bytes divided by its capacity.</param>
    /// <exception cref="ArgumentException">More stages than layers.</exception>
    public static int[] Split(IReadOnlyList<long> layers, long first, long last, IReadOnlyList<double> capacities)
    {
        var stages = capacities.Count;
        if (stages > layers.Count)
            throw new ArgumentException($"{stages} stages for {layers.Count} layers.", nameof(capacities));
        var sums = new long[layers.Count + 1];
        for (var i = 0; i < layers.Count; i++)
            sums[i + 1] = sums[i] + layers[i];
        var split = new Splitting(sums, first, last, capacities);
        var fullest = split.MinFullest();
        return split.Choose(fullest);
    }

    // sums[i]: bytes of the layers before i.
    private sealed class Splitting(long[] sums, long first, long last, IReadOnlyList<double> capacities)
    {
        // More halvings than a double has bits have no effect.
        private const int Halvings = 60;

        private readonly int _layers = sums.Length - 1;

        /// <summary>The smallest possible fullness of the fullest stage, found by bisection.</summary>
        public double MinFullest()
        {
            var (low, high) = (0.0, 1.0);
            while (Feasible(high) is null)
                high *= 2;
            for (var i = 0; i < Halvings; i++)
            {
                var middle = low + ((high - low) / 2);
                if (Feasible(middle) is null)
                    low = middle;
                else
                    high = middle;
            }

            return high;
        }

        public int[] Choose(double fullest)
        {
            var feasible = Feasible(fullest)!;
            var counts = new int[capacities.Count];
            var from = 0;
            for (var stage = 0; stage < counts.Length; stage++)
            {
                counts[stage] = stage == counts.Length - 1 ? _layers - from : Nearest(stage, from, fullest, feasible[stage + 1]);
                from += counts[stage];
            }

            return counts;
        }

        // Makes the stage as full as the rest is on average, provided that the remaining layers still fit.
        private int Nearest(int stage, int from, double fullest, bool[] fitsAfter)
        {
            var capacity = 0.0;
            for (var i = stage; i < capacities.Count; i++)
                capacity += capacities[i];
            var rest = sums[^1] - sums[from] + last + (stage == 0 ? first : 0);
            var average = rest / capacity;
            var (best, distance) = (0, double.PositiveInfinity);
            for (var to = from + 1; to < _layers && Fill(stage, from, to) <= fullest; to++)
            {
                var away = Math.Abs(Fill(stage, from, to) - average);
                if (away < distance && fitsAfter[to])
                    (best, distance) = (to - from, away);
            }

            return best;
        }

        // For every stage, the layers from which on the rest can be spread over this stage and the later ones; null if all layers cannot.
        // Computed from the last stage back: a stage can hold layers up to its fullness limit, and the next stage must be able to continue
        // at one of the layers that it reaches.
        private bool[][]? Feasible(double fullest)
        {
            var fits = new bool[capacities.Count][];
            for (var stage = capacities.Count - 1; stage >= 0; stage--)
            {
                fits[stage] = new bool[_layers + 1];
                var (reach, next) = (0, 0);
                for (var from = 0; from < _layers; from++)
                {
                    reach = Math.Max(reach, from);
                    while (reach < _layers && Fill(stage, from, reach + 1) <= fullest)
                        reach++;
                    if (stage == capacities.Count - 1)
                    {
                        fits[stage][from] = reach == _layers;
                        continue;
                    }

                    next = Math.Max(next, from + 1);
                    while (next <= _layers && !fits[stage + 1][next])
                        next++;
                    fits[stage][from] = next <= reach;
                }
            }

            return fits[0][0] ? fits : null;
        }

        private double Fill(int stage, int from, int to) =>
            (sums[to] - sums[from] + (stage == 0 ? first : 0) + (stage == capacities.Count - 1 ? last : 0)) / capacities[stage];
    }
}
