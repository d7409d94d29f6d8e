using LocalLlm.Ops;

namespace LocalLlm.Layers;

/// <summary>
/// Counts the tokens that each expert of the layers has computed, whichever rank holds it; where experts are balanced, those of each rank.
/// One thread.
/// </summary>
internal sealed class ExpertUsage
{
    private readonly List<CountedExperts> _layers = [];

    /// <summary>What is counted; a device that counts by itself writes its counts there.</summary>
    public IReadOnlyList<CountedExperts> Layers => _layers;

    /// <summary>
    /// How evenly experts are used since the model was loaded (vLLM's balancedness, of experts instead of ranks where none is moved):
    /// tokens of the mean expert, or rank, over those of the busiest one, the mean over all layers. 1: all alike; null: no layer has
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
    /// <param name="parts">Its routed experts, or the ranks that hold them.</param>
    /// <param name="experts">Those of this rank; null: the host counts in any case.</param>
    /// <returns>[parts] tokens of each, which the layer counts up.</returns>
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
