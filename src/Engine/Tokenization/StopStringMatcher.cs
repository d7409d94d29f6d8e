using LocalLlm.Primitives;

namespace LocalLlm.Tokenization;

/// <summary>
/// Ends a stream of text at the first stop string, wherever the stream is cut. It holds text back only while the end of the text may begin
/// a stop string. A stop string ends the stream as soon as it is complete. If one call completes several, the one that begins first counts,
/// then the one listed first.
/// </summary>
internal sealed class StopStringMatcher
{
    private readonly string[] _stops;
    private readonly int[][] _fallbacks; // Knuth–Morris–Pratt: length matched → the next shorter prefix that also matches
    private readonly int[] _matched; // per stop string: the length of its prefix that the text so far ends with
    private readonly bool _includeStopString;
    private string _held = "";

    /// <param name="stops">The stop strings; none may be empty.</param>
    /// <param name="includeStopString">Whether the output includes the stop string that was found.</param>
    /// <exception cref="EngineException"><see cref="EngineErrorKind.InvalidRequest"/>: a stop string is empty.</exception>
    public StopStringMatcher(IReadOnlyList<string> stops, bool includeStopString = false)
    {
        if (stops.Any(string.IsNullOrEmpty))
            throw EngineException.InvalidRequest("stop", "a stop string is empty; each needs at least one character");
        _stops = [.. stops.Select(CodePoints.ReplaceLoneSurrogates)];
        _fallbacks = [.. _stops.Select(Fallbacks)];
        _matched = new int[_stops.Length];
        _includeStopString = includeStopString;
    }

    /// <summary>Index of the stop string that ended the stream, or -1.</summary>
    public int MatchedIndex { get; private set; } = -1;

    /// <summary>The stop string that ended the stream, or null.</summary>
    public string? Matched => MatchedIndex < 0 ? null : _stops[MatchedIndex];

    /// <summary>Reads more text and returns what may be shown; returns nothing more after a stop string.</summary>
    public string Append(string text)
    {
        if (MatchedIndex >= 0)
            return "";
        var all = _held + text;
        var first = int.MaxValue;
        for (var i = _held.Length; i < all.Length; i++)
        {
            for (var k = 0; k < _stops.Length; k++)
            {
                var stop = _stops[k];
                var length = Advance(k, all[i]);
                if (length < stop.Length)
                    continue;
                var start = i + 1 - length;
                if (start < first || start == first && k < MatchedIndex)
                    (first, MatchedIndex) = (start, k);
            }
        }

        if (MatchedIndex >= 0)
        {
            _held = "";
            return all[..(_includeStopString ? first + _stops[MatchedIndex].Length : first)];
        }

        var hold = _matched.Length == 0 ? 0 : _matched.Max();
        _held = all[^hold..];
        return all[..^hold];
    }

    /// <summary>Ends the stream and returns the held-back text.</summary>
    public string Flush()
    {
        var rest = _held;
        _held = "";
        Array.Clear(_matched);
        return rest;
    }

    private int Advance(int k, char next)
    {
        var stop = _stops[k];
        var length = _matched[k];
        if (length == stop.Length)
            length = _fallbacks[k][length];
        while (length > 0 && stop[length] != next)
            length = _fallbacks[k][length];
        if (stop[length] == next)
            length++;
        return _matched[k] = length;
    }

    private static int[] Fallbacks(string stop)
    {
        var fallbacks = new int[stop.Length + 1];
        for (var (i, length) = (1, 0); i < stop.Length; i++)
        {
            while (length > 0 && stop[length] != stop[i])
                length = fallbacks[length];
            if (stop[length] == stop[i])
                length++;
            fallbacks[i + 1] = length;
        }

        return fallbacks;
    }
}
