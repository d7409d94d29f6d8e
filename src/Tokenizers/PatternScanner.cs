using LocalLlm.Primitives;

namespace LocalLlm.Tokenizers;

/// <summary>A hand-written matcher of one well-known regular expression, over code points.</summary>
internal abstract class PatternScanner : SplitPattern
{
    public sealed override void FindAll(ReadOnlySpan<char> text, List<TextRange> matches)
    {
        for (var at = 0; at < text.Length;)
        {
            var length = MatchLength(text, at);
            if (length > 0)
            {
                matches.Add(new(at, length));
                at += length;
            }
            else
            {
                CodePoints.At(text, at, out var width);
                at += width;
            }
        }
    }

    /// <summary>Length of the match that begins exactly at <paramref name="at"/>; 0 if none does.</summary>
    protected abstract int MatchLength(ReadOnlySpan<char> text, int at);

    /// <summary>The end of the run of code points in the given categories that begins at <paramref name="at"/>.</summary>
    protected static int RunEnd(ReadOnlySpan<char> text, int at, uint categories)
    {
        while (at < text.Length && CodePoints.Is(CodePoints.At(text, at, out var width), categories))
            at += width;
        return at;
    }

    /// <summary>The end of the run of code points that are neither white space nor in the given categories.</summary>
    protected static int OtherRunEnd(ReadOnlySpan<char> text, int at, uint categories)
    {
        while (at < text.Length)
        {
            var c = CodePoints.At(text, at, out var width);
            if (CodePoints.IsSpace(c) || CodePoints.Is(c, categories))
                break;
            at += width;
        }

        return at;
    }

    protected static int LineBreaksEnd(ReadOnlySpan<char> text, int at)
    {
        while (at < text.Length && text[at] is '\r' or '\n')
            at++;
        return at;
    }

    /// <summary>
    /// Length of <c>\s*[\r\n]+|\s+(?!\S)|\s+</c> at white space; the first branch applies only with <paramref name="lineBreaks"/>.
    /// </summary>
    protected static int SpacesLength(ReadOnlySpan<char> text, int at, bool lineBreaks)
    {
        var end = at;
        var afterLineBreak = -1;
        while (end < text.Length && CodePoints.IsSpace(text[end]))
        {
            if (text[end++] is '\r' or '\n')
                afterLineBreak = end;
        }

        if (lineBreaks && afterLineBreak >= 0)
            return afterLineBreak - at;
        // The last space before a word belongs to the word, unless it is the only one.
        var length = end - at;
        return end == text.Length || length <= 1 ? length : length - 1;
    }

    /// <summary>Length of <c>'s|'t|'re|'ve|'m|'ll|'d</c> at an apostrophe, or 0.</summary>
    /// <param name="text">The text; it has an apostrophe at <paramref name="at"/>.</param>
    /// <param name="at">Where the apostrophe is.</param>
    /// <param name="ignoreCase">Upper case matches too; under Unicode's case folding U+017F then counts as an s.</param>
    protected static int ContractionLength(ReadOnlySpan<char> text, int at, bool ignoreCase)
    {
        var first = Letter(text, at + 1, ignoreCase);
        if (first is 's' or 't' or 'm' or 'd')
            return 2;
        return (first, Letter(text, at + 2, ignoreCase)) is ('r', 'e') or ('v', 'e') or ('l', 'l') ? 3 : 0;
    }

    private static int Letter(ReadOnlySpan<char> text, int at, bool ignoreCase) =>
        at >= text.Length ? -1 : ignoreCase ? CodePoints.Fold(text[at]) : text[at];
}
