namespace LocalLlm.Tool.Arguments;

/// <summary>Finds the name that a misspelt one most likely means.</summary>
internal static class NearestName
{
    private const int MinLetters = 3;

    /// <summary>
    /// The option that a name most likely means. The name differs from it in at most two letters (one if it is short), or begins
    /// it, or one of the two abbreviates the other. Null if no option is near: an unrelated hint would mislead.
    /// </summary>
    public static string? OfOption(string name, IEnumerable<string> candidates)
    {
        var letters = name.Trim('-');
        return letters.Length < MinLetters ? null : candidates.Where(candidate => IsNear(letters, candidate.Trim('-'))).MinBy(candidate => Distance(letters, candidate.Trim('-')));
    }

    /// <summary>The candidate with the smallest edit distance; null if even that one is too far away to be a misspelling.</summary>
    public static string? Close(string name, IEnumerable<string> candidates) =>
        candidates.MinBy(candidate => Distance(name, candidate)) is { } nearest && Distance(name, nearest) <= Math.Max(2, nearest.Length / 3) ? nearest : null;

    /// <summary>
    /// The candidate that the name most likely means: at most a third of the letters differ. Null if none is that near, so the
    /// name stands for itself.
    /// </summary>
    public static string? Meant(string name, IEnumerable<string> candidates) =>
        Close(name, candidates) is { } nearest && 3 * Distance(name, nearest) <= name.Length ? nearest : null;

    private static bool IsNear(string name, string candidate) =>
        Distance(name, candidate) <= (name.Length > MinLetters ? 2 : 1)
        || candidate.StartsWith(name, StringComparison.Ordinal)
        || IsAbbreviation(name, candidate) || IsAbbreviation(candidate, name);

    // --max-num-seqs of --max-num-sequences: contains its letters in order, and most of them.
    private static bool IsAbbreviation(string of, string name)
    {
        if (3 * of.Length < 2 * name.Length || of.Length > name.Length)
            return false;
        var at = 0;
        foreach (var letter in name)
            at += at < of.Length && of[at] == letter ? 1 : 0;
        return at == of.Length;
    }

    /// <summary>
    /// Levenshtein distance: insertions, deletions and replacements of one character. Only the first 64 characters of long names count.
    /// </summary>
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
