using System.Text;

namespace LocalLlm.Tokenizers;

/// <summary>Writes a prefix before pieces that do not begin with it.</summary>
internal static class PiecePrefix
{
    public static PreTokenizedText Add(PreTokenizedText input, string prefix, Predicate<TextRange> wanted)
    {
        var text = input.Text.Span;
        var result = new StringBuilder(text.Length + prefix.Length);
        var pieces = new List<TextRange>(input.Pieces.Count);
        foreach (var piece in input.Pieces)
        {
            var content = text.Slice(piece.Start, piece.Length);
            var start = result.Length;
            if (wanted(piece) && !content.StartsWith(prefix, StringComparison.Ordinal))
                result.Append(prefix);
            result.Append(content);
            pieces.Add(new(start, result.Length - start));
        }

        return input with { Text = result.ToString().AsMemory(), Pieces = pieces };
    }
}
