using System.Globalization;
using System.Text;

namespace LocalLlm.Jinja.Syntax;

/// <summary>Decodes the escapes of a Python string literal as Jinja2 does.</summary>
internal static class StringLiteral
{
    public static string Unescape(string raw, int line)
    {
        if (!raw.Contains('\\'))
            return raw;
        var text = ToAscii(raw);
        var result = new StringBuilder(text.Length);
        for (var i = 0; i < text.Length; i++)
        {
            if (text[i] != '\\')
            {
                result.Append(text[i]);
                continue;
            }

            var escape = text[++i];
            switch (escape)
            {
                case '\n': break;
                case '\\' or '\'' or '"': result.Append(escape); break;
                case 'a': result.Append('\a'); break;
                case 'b': result.Append('\b'); break;
                case 'f': result.Append('\f'); break;
                case 'n': result.Append('\n'); break;
                case 'r': result.Append('\r'); break;
                case 't': result.Append('\t'); break;
                case 'v': result.Append('\v'); break;
                case >= '0' and <= '7': i = Octal(text, i, result); break;
                case 'x': i = Hex(text, i, 2, result, line); break;
                case 'u': i = Hex(text, i, 4, result, line); break;
                case 'U': i = Hex(text, i, 8, result, line); break;
                case 'N': throw TemplateException.Syntax("\\N{...} escapes are not supported in template strings", line);
                default: result.Append('\\').Append(escape); break;
            }
        }

        return result.ToString();
    }

    // Before decoding, Jinja2 rewrites characters beyond ASCII as escapes. A backslash in front of such a character therefore
    // escapes the backslash of that escape.
    private static string ToAscii(string raw)
    {
        if (Ascii.IsValid(raw))
            return raw;
        var result = new StringBuilder(raw.Length * 2);
        for (var i = 0; i < raw.Length; i++)
        {
            if (raw[i] < 0x80)
                result.Append(raw[i]);
            else if (char.IsSurrogatePair(raw, i))
                result.Append(CultureInfo.InvariantCulture, $"\\U{char.ConvertToUtf32(raw, i++):x8}");
            else if (raw[i] < 0x100)
                result.Append(CultureInfo.InvariantCulture, $"\\x{(int)raw[i]:x2}");
            else
                result.Append(CultureInfo.InvariantCulture, $"\\u{(int)raw[i]:x4}");
        }

        return result.ToString();
    }

    private static int Octal(string text, int i, StringBuilder result)
    {
        var value = 0;
        var end = Math.Min(text.Length, i + 3);
        for (; i < end && text[i] is >= '0' and <= '7'; i++)
            value = (value * 8) + text[i] - '0';
        result.Append((char)value);
        return i - 1;
    }

    private static int Hex(string text, int i, int digits, StringBuilder result, int line)
    {
        var value = 0L;
        for (var k = 1; k <= digits; k++)
        {
            if (i + k >= text.Length || !char.IsAsciiHexDigit(text[i + k]))
                throw TemplateException.Syntax($"truncated \\{text[i]} escape in a string", line);
            value = (value * 16) + Convert.ToInt32(text[i + k].ToString(), 16);
        }

        if (value > 0x10FFFF)
            throw TemplateException.Syntax("illegal Unicode character in a string", line);
        if (value is < 0xD800 or > 0xDFFF)
            result.Append(char.ConvertFromUtf32((int)value));
        else
            result.Append((char)value);
        return i + digits;
    }
}
