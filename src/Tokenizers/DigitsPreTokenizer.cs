using LocalLlm.Primitives;

namespace LocalLlm.Tokenizers;

/// <summary>Separates numbers from other text: digit by digit, or run by run.</summary>
internal sealed class DigitsPreTokenizer(bool individual) : PreTokenizer
{
    private readonly SplitPreTokenizer _split =
        new(new DigitScanner(), individual ? SplitBehavior.Isolated : SplitBehavior.Contiguous, invert: false);

    public override PreTokenizedText Split(PreTokenizedText input) => _split.Split(input);

    private sealed class DigitScanner : PatternScanner
    {
        protected override int MatchLength(ReadOnlySpan<char> text, int at) =>
            CodePoints.Is(CodePoints.At(text, at, out var width), CodePoints.Number) ? width : 0;
    }
}
