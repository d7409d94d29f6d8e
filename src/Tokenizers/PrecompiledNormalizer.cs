using System.Globalization;
using System.Text;
using LocalLlm.Primitives;

namespace LocalLlm.Tokenizers;

/// <summary>
/// Applies SentencePiece's character map as <c>Precompiled</c> of Hugging Face's <c>tokenizers</c> does, including its quirk,
/// because models are used with the resulting ids. The map's entry for the shortest prefix of a grapheme cluster of fewer than
/// six bytes replaces the whole cluster (so <c>ｱ</c> with an accent loses the accent). If there is no such entry, or if the
/// cluster is longer, each character is looked up by itself. Characters without an entry stay.
/// </summary>
internal sealed class PrecompiledNormalizer : Normalizer
{
    private const int MaxGraphemeBytes = 5;
    private readonly CharacterMap _map;
    private readonly string?[] _ascii; // replacement of an ASCII character that is a grapheme cluster by itself

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
            // No ASCII character extends the one before it, except the line feed of CR LF.
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
