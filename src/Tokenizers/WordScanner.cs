using LocalLlm.Primitives;

namespace LocalLlm.Tokenizers;

/// <summary>
/// The pattern of Qwen 2 and 3 (one digit at a time) and of Llama 3 (up to three):
/// <c>(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+</c>.
/// </summary>
internal sealed class WordScanner(int maxDigits) : PatternScanner
{
    protected override int MatchLength(ReadOnlySpan<char> text, int at)
    {
        var first = CodePoints.At(text, at, out var width);
        if (first == '\'' && ContractionLength(text, at, ignoreCase: true) is > 0 and var contraction)
            return contraction;
        if (CodePoints.Is(first, CodePoints.Letter))
            return RunEnd(text, at + width, CodePoints.Letter) - at;
        if (CodePoints.Is(first, CodePoints.Number))
        {
            var end = at + width;
            for (var digits = 1; digits < maxDigits && end < text.Length
                && CodePoints.Is(CodePoints.At(text, end, out var next), CodePoints.Number); digits++)
                end += next;
            return end - at;
        }

        if (first is not ('\r' or '\n') && RunEnd(text, at + width, CodePoints.Letter) is var word && word > at + width)
            return word - at;
        var other = OtherRunEnd(text, first == ' ' ? at + 1 : at, CodePoints.Letter | CodePoints.Number);
        if (other > at + (first == ' ' ? 1 : 0))
            return LineBreaksEnd(text, other) - at;
        return SpacesLength(text, at, lineBreaks: true);
    }
}
