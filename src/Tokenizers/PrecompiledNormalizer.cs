using System.Globalization;
using System.Text;
using LocalLlm.Primitives;

namespace LocalLlm.Tokenizers;

/// <summary>
/// SentencePiece's character map as <c>Precompiled</c> of Hugging Face's <c>tokenizers</c> applies it, quirk included, since
/// models are used with its ids: a grapheme cluster of less than six bytes becomes, as a whole, what the map has for its
/// shortest beginning (so <c>ｱ</c> with an accent loses the accent); if it has nothing, and in longer ones, each character is
/// looked up by itself. What the map lacks stays.
/// </summary>
internal sealed class PrecompiledNormalizer : Normalizer
{
    private const int MaxGraphemeBytes = 5;
    private readonly CharacterMap _map;
    private readonly string?[] _ascii; // what becomes of an ASCII character that is a grapheme cluster by itself

    public PrecompiledNormalizer(CharacterMap map)
    {
        _map = map;
        _ascii = Enumerable.Range(0, 0x80).Select(c => map.Find([(byte)c])).ToArray();
    }

    public override bool IsByCharacter => false;

    public override string Normalize(string text)
    {
        var result = new StringBuilder(text.Length);
        for (var at = 0; at < text.Length;)
        {
            // Nothing in ASCII extends a character before it, but for the line feed of CR LF.
            var c = text[at];
            if (c < 0x80 && c != '\r' && (at + 1 == text.Length || text[at + 1] < 0x80))
            {
                Append(result, _ascii[c], text.AsSpan(at, 1));
                at++;
                continue;
            }

            var length = StringInfo.GetNextTextElementLength(text.AsSpan(at));
            AppendGrapheme(result, text.AsSpan(at, length));
            at += length;
        }

        return result.ToString();
    }

    private void AppendGrapheme(StringBuilder result, ReadOnlySpan<char> grapheme)
    {
        if (Find(grapheme) is { } whole)
        {
            result.Append(whole);
            return;
        }

        for (var at = 0; at < grapheme.Length;)
        {
            CodePoints.At(grapheme, at, out var width);
            var character = grapheme.Slice(at, width);
            Append(result, Find(character), character);
            at += width;
        }
    }

    private string? Find(ReadOnlySpan<char> text)
    {
        Span<byte> utf8 = stackalloc byte[MaxGraphemeBytes];
        return Encoding.UTF8.TryGetBytes(text, utf8, out var length) ? _map.Find(utf8[..length]) : null;
    }

    private static void Append(StringBuilder result, string? replacement, ReadOnlySpan<char> original)
    {
        if (replacement is null)
            result.Append(original);
        else
            result.Append(replacement);
    }
}
