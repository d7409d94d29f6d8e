namespace LocalLlm.Server.Arguments;

/// <summary>The name that a misspelt one most likely means.</summary>
internal static class NearestName
{
    // A word in common (--kv-cache-dtype, --dtype) says more than letters in common.
    private const int WordWeight = 4;

    /// <summary>The candidate with the least edit distance, words in common counted; null where there is none.</summary>
    public static string? Of(string name, IEnumerable<string> candidates)
    {
        var words = Words(name);
        return candidates.MinBy(candidate => Distance(name, candidate) - (WordWeight * words.Intersect(Words(candidate)).Count()));

        static string[] Words(string text) => text.Split(['-', '_'], StringSplitOptions.RemoveEmptyEntries);
    }

    /// <summary>The same, or null where even the nearest is too far to be a misspelling.</summary>
    public static string? Close(string name, IEnumerable<string> candidates) =>
        Of(name, candidates) is { } nearest && Distance(name, nearest) <= Math.Max(2, nearest.Length / 3) ? nearest : null;

    /// <summary>The candidate that the name was meant to be: it differs from it in a third of its letters or less; null where it is a name of its own.</summary>
    public static string? Meant(string name, IEnumerable<string> candidates) =>
        Close(name, candidates) is { } nearest && 3 * Distance(name, nearest) <= name.Length ? nearest : null;

    /// <summary>Levenshtein's distance: insertions, deletions and replacements of one character. Long names count by their first 64.</summary>
    internal static int Distance(ReadOnlySpan<char> from, ReadOnlySpan<char> to)
    {
        const int longest = 64;
        from = from[..Math.Min(from.Length, longest)];
        to = to[..Math.Min(to.Length, longest)];
        Span<int> row = stackalloc int[longest + 1];
        for (var j = 0; j <= to.Length; j++)
            row[j] = j;
        for (var i = 1; i <= from.Length; i++)
        {
            var diagonal = row[0];
            row[0] = i;
            for (var j = 1; j <= to.Length; j++)
            {
                var replaced = diagonal + (from[i - 1] == to[j - 1] ? 0 : 1);
                diagonal = row[j];
                row[j] = Math.Min(replaced, 1 + Math.Min(row[j], row[j - 1]));
            }
        }

        return row[to.Length];
    }
}
