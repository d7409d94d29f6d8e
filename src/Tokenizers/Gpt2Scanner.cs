using LocalLlm.Primitives;

namespace LocalLlm.Tokenizers;

/// <summary>GPT-2's pattern: <c>'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+</c>.</summary>
internal sealed class Gpt2Scanner : PatternScanner
{
    protected override int MatchLength(ReadOnlySpan<char> text, int at)
    {
        var first = text[at];
        if (first == '\'' && ContractionLength(text, at, ignoreCase: false) is > 0 and var contraction)
            return contraction;
        var start = first == ' ' ? at + 1 : at;
        var end = RunEnd(text, start, CodePoints.Letter);
        if (end == start)
            end = RunEnd(text, start, CodePoints.Number);
        if (end == start)
            end = OtherRunEnd(text, start, CodePoints.Letter | CodePoints.Number);
        return end > start ? end - at : SpacesLength(text, at, lineBreaks: false);
    }
}
