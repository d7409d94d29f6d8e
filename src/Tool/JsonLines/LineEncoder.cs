using System.Globalization;
using System.Text.Encodings.Web;

namespace LocalLlm.Tool.JsonLines;

/// <summary>
/// Writes text into JSON unescaped, including all of Unicode. It escapes only what JSON requires and the characters that some
/// readers take for the end of a line (U+0085, U+2028, U+2029). The output goes to files, never into HTML.
/// </summary>
internal sealed unsafe class LineEncoder : JavaScriptEncoder
{
    /// <summary>The only instance.</summary>
    public static LineEncoder Instance { get; } = new();

    /// <inheritdoc/>
    public override int MaxOutputCharactersPerInputCharacter => 6;

    /// <inheritdoc/>
    public override bool WillEncode(int unicodeScalar) => unicodeScalar is < 0x20 or '"' or '\\' or 0x7F or 0x85 or 0x2028 or 0x2029;

    /// <inheritdoc/>
    public override int FindFirstCharacterToEncode(char* text, int textLength)
    {
        for (var i = 0; i < textLength; i++)
        {
            if (!char.IsSurrogate(text[i]))
            {
                if (WillEncode(text[i]))
                    return i;
            }
            else if (i + 1 < textLength && char.IsSurrogatePair(text[i], text[i + 1]))
            {
                i++;
            }
            else
            {
                // A lone surrogate: the base class writes U+FFFD for it.
                return i;
            }
        }

        return -1;
    }

    /// <inheritdoc/>
    public override bool TryEncodeUnicodeScalar(int unicodeScalar, char* buffer, int bufferLength, out int numberOfCharactersWritten)
    {
        var destination = new Span<char>(buffer, bufferLength);
        var escape = unicodeScalar switch
        {
            '"' => "\\\"",
            '\\' => "\\\\",
            '\n' => "\\n",
            '\r' => "\\r",
            '\t' => "\\t",
            '\b' => "\\b",
            '\f' => "\\f",
            // The base class asks for this character in place of a lone surrogate.
            0xFFFD => "\uFFFD",
            _ => null,
        };
        if (escape is null)
            return destination.TryWrite(CultureInfo.InvariantCulture, $"\\u{unicodeScalar:x4}", out numberOfCharactersWritten);
        numberOfCharactersWritten = escape.Length;
        return escape.TryCopyTo(destination);
    }
}
