using System.Buffers.Binary;
using System.Text;
using LocalLlm.Primitives;

namespace LocalLlm.Tokenizers;

/// <summary>
/// SentencePiece's <c>precompiled_charsmap</c>, which maps short texts to replacements. It is base64 of three parts: the size of
/// a trie in bytes (32 bits, little-endian), the trie, and the NUL-terminated UTF-8 texts that the trie's values point to.
/// </summary>
internal sealed class CharacterMap
{
    // The longest of Unicode's compatibility mappings has 18 characters (33 bytes).
    private const int MaxReplacementBytes = 128;

    private readonly DoubleArrayTrie _trie;
    private readonly Dictionary<int, string> _replacements = []; // value of the trie → text

    private CharacterMap(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length < 4)
            throw new FormatException($"is {bytes.Length} bytes long, too short for the size of a trie");
        var size = BinaryPrimitives.ReadUInt32LittleEndian(bytes);
        if (size > bytes.Length - 4)
            throw new FormatException($"claims a trie of {size} bytes, but {bytes.Length - 4} follow");
        var texts = bytes[(4 + (int)size)..];
        var values = new HashSet<int>();
        _trie = new DoubleArrayTrie(bytes[4..(4 + (int)size)], values);
        foreach (var value in values)
            _replacements[value] = Replacement(texts, value);
    }

    public static CharacterMap Read(JsonField field)
    {
        var text = field.String();
        var bytes = new byte[text.Length / 4 * 3 + 3];
        if (!Convert.TryFromBase64String(text, bytes, out var length))
            throw field.Fail("is no base64");
        try
        {
            return new CharacterMap(bytes.AsSpan(0, length));
        }
        catch (FormatException cause)
        {
            throw field.Fail(cause.Message, cause);
        }
    }

    /// <summary>The replacement for the shortest text of the map that <paramref name="utf8"/> begins with, or null.</summary>
    public string? Find(ReadOnlySpan<byte> utf8) => _trie.FindShortest(utf8) is >= 0 and var value ? _replacements[value] : null;

    private static string Replacement(ReadOnlySpan<byte> texts, int start)
    {
        if (start > texts.Length)
            throw new FormatException($"points to the text at byte {start} of {texts.Length}");
        var text = texts[start..];
        var end = text.IndexOf((byte)0);
        text = end < 0 ? text : text[..end];
        if (text.Length > MaxReplacementBytes)
            throw new FormatException($"has a replacement of {text.Length} bytes; at most {MaxReplacementBytes} are allowed");
        return System.Text.Unicode.Utf8.IsValid(text)
            ? Encoding.UTF8.GetString(text)
            : throw new FormatException($"points to byte {start}, where no valid UTF-8 text begins");
    }
}
