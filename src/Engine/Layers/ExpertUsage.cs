namespace LocalLlm.Layers;

/// <summary>Counts the tokens that each expert of a rank's layers has computed, whichever rank holds it. One thread.</summary>
internal sealed class ExpertUsage
{
    private readonly List<long[]> _layers = [];

    /// <summary>
    /// How evenly experts are used since the model was loaded (vLLM's balancedness, of experts instead of ranks): tokens of the mean
    /// expert over those of the busiest one, the mean over all layers. 1: all alike; null: no layer has experts, or none was used.
    /// </summary>
    public double? Balance
    {
        get
        {
            var (sum, count) = (0.0, 0);
            foreach (var tokens in _layers)
            {
                var (all, busiest) = (0L, 0L);
                foreach (var number in tokens)
                    (all, busiest) = (all + number, Math.Max(busiest, number));
                if (busiest == 0)
                    continue;
                sum += (double)all / tokens.Length / busiest;
                count++;
            }

            return count == 0 ? null : sum / count;
        }
    }

    /// <summary>Adds a layer.</summary>
    /// <param name="experts">Its routed experts.</param>
    /// <returns>[experts] tokens of each, which the layer counts up.</returns>
    public long[] AddLayer(int experts)
    {
        var tokens = new long[experts];
        _layers.Add(tokens);
        return tokens;
    }
}
