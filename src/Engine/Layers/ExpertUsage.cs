using LocalLlm.Ops;

namespace LocalLlm.Layers;

/// <summary>
/// Counts the tokens that each expert of the layers has computed, whichever rank holds it. Where experts are balanced, it counts the
/// tokens of each rank instead. Not thread-safe.
/// </summary>
internal sealed class ExpertUsage
{
    private readonly List<CountedExperts> _layers = [];

    /// <summary>The counters; a device that counts by itself writes its counts there.</summary>
    public IReadOnlyList<CountedExperts> Layers => _layers;

    /// <summary>
    /// How evenly experts are used since the model was loaded: the tokens of the mean expert over those of the busiest one, averaged over
    /// all layers. With balancing it compares ranks instead of experts, as vLLM's balancedness does. 1: all alike; null: no layer has
    /// experts, or none was used.
    /// </summary>
    public double? Balance
    {
        get
        {
            var (sum, count) = (0.0, 0);
            foreach (var (_, tokens) in _layers)
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
    /// <param name="parts">Number of its routed experts, or of the ranks that hold them.</param>
    /// <param name="experts">This rank's experts; null: the host always counts.</param>
    /// <returns>[parts] token counters, which the layer increments.</returns>
    public long[] AddLayer(int parts, IExperts? experts = null)
    {
        var tokens = new long[parts];
        _layers.Add(new(experts, tokens));
        return tokens;
    }

    /// <summary>Counts from zero again.</summary>
    public void Clear()
    {
        foreach (var (_, tokens) in _layers)
            Array.Clear(tokens);
    }
}
