namespace LocalLlm.Parallel;

/// <summary>Spreads layers over stages so that the fullest stage is as empty as it can be. Pure.</summary>
internal static class StageBalance
{
    /// <summary>Layers of each stage. Of all ways with the smallest maximum it takes one whose stages are near the average.</summary>
    /// <param name="layers">Bytes of each layer, in order.</param>
    /// <param name="first">Bytes that the first stage holds beside its layers: the embedding.</param>
    /// <param name="last">Bytes that the last stage holds beside its layers: the head.</param>
    /// <param name="capacities">Memory of each stage, in any unit: a stage is as full as its bytes are of its capacity.</param>
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
    private readonly struct Splitting(long[] sums, long first, long last, IReadOnlyList<double> capacities)
    {
        private readonly int _layers = sums.Length - 1;

        // Bisection over the fill; how much a stage can take grows with it.
        public double MinFullest()
        {
            var (low, high) = (0.0, 1.0);
            while (!Fits(0, 0, high))
                high *= 2;
            // A hundred halvings are more than a double has bits for.
            for (var i = 0; i < 100 && low < high; i++)
            {
                var middle = low + ((high - low) / 2);
                if (Fits(0, 0, middle))
                    high = middle;
                else
                    low = middle;
            }

            return high;
        }

        public int[] Choose(double fullest)
        {
            var counts = new int[capacities.Count];
            var from = 0;
            for (var stage = 0; stage < counts.Length; stage++)
            {
                counts[stage] = stage == counts.Length - 1 ? _layers - from : Nearest(stage, from, fullest);
                from += counts[stage];
            }

            return counts;
        }

        // As full as the rest is on average, if what remains still fits.
        private int Nearest(int stage, int from, double fullest)
        {
            var capacity = 0.0;
            for (var i = stage; i < capacities.Count; i++)
                capacity += capacities[i];
            var rest = sums[^1] - sums[from] + last + (stage == 0 ? first : 0);
            var average = rest / capacity;
            var (best, distance) = (0, double.PositiveInfinity);
            var limit = MaxLayers(stage, from, fullest);
            for (var count = 1; count <= limit; count++)
            {
                var away = Math.Abs(Fill(stage, from, from + count) - average);
                if (away < distance && Fits(stage + 1, from + count, fullest))
                    (best, distance) = (count, away);
            }

            return best;
        }

        // Whether the layers from one on can be spread over the stages from one on: each takes all it can.
        private bool Fits(int stage, int from, double fullest)
        {
            for (; stage < capacities.Count - 1; stage++)
            {
                var count = MaxLayers(stage, from, fullest);
                if (count < 1)
                    return false;
                from += count;
            }

            return from < _layers && Fill(stage, from, _layers) <= fullest;
        }

        // Each stage after it needs a layer.
        private int MaxLayers(int stage, int from, double fullest)
        {
            var limit = _layers - from - (capacities.Count - 1 - stage);
            var count = 0;
            while (count < limit && Fill(stage, from, from + count + 1) <= fullest)
                count++;
            return count;
        }

        private double Fill(int stage, int from, int to) =>
            (sums[to] - sums[from] + (stage == 0 ? first : 0) + (stage == capacities.Count - 1 ? last : 0)) / capacities[stage];
    }
}
