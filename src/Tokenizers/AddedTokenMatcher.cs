using System.Buffers;

namespace LocalLlm.Tokenizers;

/// <summary>
/// Finds token texts in a text, the longest at each position. The texts are sorted, and a search narrows the range of texts that
/// still match, which needs no memory beyond the texts themselves.
/// </summary>
internal sealed class AddedTokenMatcher
{
    private readonly string[] _texts;
    private readonly AddedToken[] _tokens;
    private readonly SearchValues<char> _first;

    public AddedTokenMatcher(IEnumerable<(string Text, AddedToken Token)> tokens)
    {
        var sorted = tokens.Where(t => t.Text.Length > 0).DistinctBy(t => t.Text, StringComparer.Ordinal)
            .OrderBy(t => t.Text, StringComparer.Ordinal).ToArray();
        _texts = [.. sorted.Select(t => t.Text)];
        _tokens = [.. sorted.Select(t => t.Token)];
        _first = SearchValues.Create(_texts.Select(t => t[0]).Distinct().ToArray());
    }

    public bool IsEmpty => _texts.Length == 0;

    public ReadOnlySpan<string> Texts => _texts;

    /// <summary>The next position from <paramref name="at"/> with the first character of some token, or -1.</summary>
    public int NextCandidate(ReadOnlySpan<char> text, int at)
    {
        var step = at >= text.Length ? -1 : text[at..].IndexOfAny(_first);
        return step < 0 ? -1 : at + step;
    }

    /// <summary>The longest token that begins exactly at <paramref name="at"/>, or null.</summary>
    public AddedToken? LongestAt(ReadOnlySpan<char> text, int at, out int length)
    {
        AddedToken? longest = null;
        length = 0;
        var (low, high) = (0, _texts.Length);
        for (var depth = 0; low < high && at + depth < text.Length; depth++)
        {
            (low, high) = Narrow(low, high, depth, text[at + depth]);
            if (low < high && _texts[low].Length == depth + 1)
            {
                longest = _tokens[low];
                length = depth + 1;
            }
        }

        return longest;
    }

    /// <summary>
    /// Whether a token that satisfies <paramref name="counts"/> begins at <paramref name="at"/>, or could if more text followed.
    /// </summary>
    public bool MayBeginAt(ReadOnlySpan<char> text, int at, Predicate<AddedToken> counts)
    {
        var (low, high) = (0, _texts.Length);
        for (var depth = 0; low < high; depth++)
        {
            if (at + depth == text.Length)
                return _tokens.AsSpan(low, high - low).ToArray().Any(token => counts(token));
            (low, high) = Narrow(low, high, depth, text[at + depth]);
            if (low < high && _texts[low].Length == depth + 1 && counts(_tokens[low]))
                return true;
        }

        return false;
    }

    /// <summary>Whether the start of the text could continue a token that began before it.</summary>
    public bool MayContinue(ReadOnlySpan<char> text, Predicate<AddedToken> counts)
    {
        if (text.IsEmpty)
            return false;
        for (var i = 0; i < _texts.Length; i++)
        {
            var token = _texts[i].AsSpan();
            for (var at = 1; at < token.Length; at++)
            {
                if (token[at] == text[0] && (text.StartsWith(token[at..]) || token[at..].StartsWith(text)) && counts(_tokens[i]))
                    return true;
            }
        }

        return false;
    }

    private (int Low, int High) Narrow(int low, int high, int depth, char next)
    {
        // All texts in [low, high) agree up to depth; one that ends there sorts first.
        if (_texts[low].Length == depth)
            low++;
        return (LowerBound(low, high, depth, next), LowerBound(low, high, depth, next + 1));
    }

    private int LowerBound(int low, int high, int depth, int c)
    {
        while (low < high)
        {
            var middle = (low + high) >>> 1;
            if (_texts[middle][depth] < c)
                low = middle + 1;
            else
                high = middle;
        }

        return low;
    }
}
