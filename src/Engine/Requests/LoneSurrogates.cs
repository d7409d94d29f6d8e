using System.Globalization;
using System.Text;
using System.Text.Json;

namespace LocalLlm.Requests;

/// <summary>Reads JSON strings that the JSON reader refuses because an escape is a lone surrogate.</summary>
public static class LoneSurrogates
{
    /// <summary>The text of a JSON string. A lone surrogate stays in it, and the tokenizer reads it as U+FFFD.</summary>
    public static string TextOf(JsonElement value)
    {
        try
        {
            return value.GetString()!;
        }
        catch (InvalidOperationException)
        {
            return Unescape(value.GetRawText());
        }
    }

    /// <summary>The text of a JSON string literal, quotes included; the JSON reader has already accepted its grammar.</summary>
    internal static string Unescape(string literal)
    {
        var text = new StringBuilder(literal.Length);
        for (var i = 1; i < literal.Length - 1; i++)
        {
            if (literal[i] != '\\')
            {
                text.Append(literal[i]);
                continue;
            }

            i++;
            if (literal[i] == 'u')
            {
                text.Append((char)ushort.Parse(literal.AsSpan(i + 1, 4), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture));
                i += 4;
            }
            else
            {
                text.Append(literal[i] switch { 'n' => '\n', 'r' => '\r', 't' => '\t', 'b' => '\b', 'f' => '\f', var same => same });
            }
        }

        return text.ToString();
    }
}
