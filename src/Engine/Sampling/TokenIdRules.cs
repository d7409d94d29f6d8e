using LocalLlm.Requests;

namespace LocalLlm.Sampling;

/// <summary>Checks the fields that hold token ids. The vocabulary bounds their lengths before anything is copied.</summary>
internal sealed class TokenIdRules(int vocabularySize, RequestErrors errors)
{
    private const int MaxReported = 3;

    /// <summary>The ids without duplicates.</summary>
    public HashSet<int> Set(string field, IReadOnlyList<int>? ids) =>
        ids is null || !AreValid(field, ids, ids.Count) ? [] : [.. ids];

    /// <summary>The ids, ascending and without duplicates; null: all tokens.</summary>
    public int[]? Allowed(IReadOnlyList<int>? ids)
    {
        const string field = "allowed_token_ids";
        if (ids is null)
            return null;
        if (ids.Count == 0)
            errors.Add(field, "an empty list", "at least one token id, or no such field for all");
        return AreValid(field, ids, ids.Count) ? [.. ids.Distinct().Order()] : [];
    }

    /// <summary>The ids, ascending, and their values clamped to -100…100.</summary>
    public (int[] Ids, float[] Values) Biases(IReadOnlyDictionary<int, double>? biases)
    {
        const string field = "logit_bias";
        if (biases is null || !AreValid(field, biases.Keys, biases.Count))
            return ([], []);
        foreach (var (id, value) in biases)
        {
            if (!double.IsFinite(value))
            {
                errors.Add(field, $"{value} for token {id}", "finite numbers (clamped to -100 to 100)");
                return ([], []);
            }
        }

        int[] ids = [.. biases.Keys.Order()];
        return (ids, [.. ids.Select(id => (float)Math.Clamp(biases[id], -SamplingRules.MaxLogitBias, SamplingRules.MaxLogitBias))]);
    }

    private bool AreValid(string field, IEnumerable<int> ids, int count)
    {
        if (count > vocabularySize)
        {
            errors.Add(field, $"{count} token ids", $"at most {vocabularySize}, the size of the vocabulary");
            return false;
        }

        var bad = 0;
        foreach (var id in ids)
        {
            if ((uint)id < (uint)vocabularySize)
                continue;
            if (++bad <= MaxReported)
                errors.Add(field, $"the token id {id}", $"0 to {vocabularySize - 1}");
        }

        return bad == 0;
    }
}
