using System.Buffers;
using LocalLlm.Primitives;

namespace LocalLlm.Tokenizers;

/// <summary>DeepSeek-V3's first split: <c>\p{N}{1,3}</c>.</summary>
internal sealed class DigitGroupScanner : PatternScanner
{
    protected override int MatchLength(ReadOnlySpan<char> text, int at)
    {
        var end = at;
        for (var digits = 0; digits < 3 && end < text.Length
            && CodePoints.Is(CodePoints.At(text, end, out var width), CodePoints.Number); digits++)
            end += width;
        return end - at;
    }
}

/// <summary>DeepSeek-V3's second split: runs of Chinese ideographs and Japanese syllables.</summary>
internal sealed class IdeographScanner : PatternScanner
{
    protected override int MatchLength(ReadOnlySpan<char> text, int at)
    {
        var end = at;
        while (end < text.Length && text[end] is (>= '\u4E00' and <= '\u9FA5') or (>= '\u3040' and <= '\u30FF'))
            end++;
        return end - at;
    }
}

/// <summary>
/// DeepSeek-V3's third split: ASCII punctuation followed by ASCII letters, or
/// <c>[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+</c>.
/// Digits, control characters and unassigned code points match nothing and stay between the matches.
/// </summary>
internal sealed class DeepSeekWordScanner : PatternScanner
{
    private static readonly SearchValues<char> AsciiPunctuation = SearchValues.Create("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~");

    protected override int MatchLength(ReadOnlySpan<char> text, int at)
    {
        var first = CodePoints.At(text, at, out var width);
        if (AsciiPunctuation.Contains(text[at]))
        {
            var end = at + 1;
            while (end < text.Length && char.IsAsciiLetter(text[end]))
                end++;
            if (end > at + 1)
                return end - at;
        }

        const uint Word = CodePoints.Letter | CodePoints.Mark;
        if (CodePoints.Is(first, Word))
            return RunEnd(text, at + width, Word) - at;
        if (first is not ('\r' or '\n') && !CodePoints.Is(first, CodePoints.Punctuation | CodePoints.Symbol)
            && RunEnd(text, at + width, Word) is var word && word > at + width)
            return word - at;
        var start = first == ' ' ? at + 1 : at;
        var signs = RunEnd(text, start, CodePoints.Punctuation | CodePoints.Symbol);
        if (signs > start)
            return LineBreaksEnd(text, signs) - at;
        return SpacesLength(text, at, lineBreaks: true);
    }
}
