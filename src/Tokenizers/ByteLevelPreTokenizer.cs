using System.Text;
using LocalLlm.Primitives;

namespace LocalLlm.Tokenizers;

/// <summary>Optionally splits by GPT-2's pattern, then writes each piece's UTF-8 bytes in the byte alphabet.</summary>
internal sealed class ByteLevelPreTokenizer(bool addPrefixSpace, bool useRegex) : PreTokenizer
{
    private static readonly SplitPreTokenizer Words = new(new Gpt2Scanner(), SplitBehavior.Isolated, invert: false);

    public override PreTokenizedText Split(PreTokenizedText input)
    {
        if (addPrefixSpace)
            input = PiecePrefix.Add(input, " ", _ => true);
        var pieces = useRegex ? Words.Split(input.Text.Span, input.Pieces) : input.Pieces;

        var text = input.Text.Span;
        var mapped = new char[pieces.Sum(piece => Encoding.UTF8.GetByteCount(input.Text.Span.Slice(piece.Start, piece.Length)))];
        var result = new List<TextRange>(pieces.Count);
        var at = 0;
        Span<byte> utf8 = stackalloc byte[4];
        foreach (var piece in pieces)
        {
            var start = at;
            for (var i = piece.Start; i < piece.End;)
            {
                if (text[i] < 0x80)
                {
                    mapped[at++] = ByteAlphabet.Character((byte)text[i++]);
                    continue;
                }

                var count = new Rune(CodePoints.At(text, i, out var width)).EncodeToUtf8(utf8);
                i += width;
                foreach (var b in utf8[..count])
                    mapped[at++] = ByteAlphabet.Character(b);
            }

            result.Add(new(start, at - start));
        }

        return input with { Text = mapped, Pieces = result };
    }
}
