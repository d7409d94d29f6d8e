using LocalLlm.Primitives;

namespace LocalLlm.Tokenizers;

/// <summary>Each white-space character separately.</summary>
internal sealed class WhiteSpacePattern : SplitPattern
{
    public override void FindAll(ReadOnlySpan<char> text, List<TextRange> matches)
    {
        for (var i = 0; i < text.Length; i++)
        {
            if (CodePoints.IsSpace(text[i]))
                matches.Add(new(i, 1));
        }
    }
}
