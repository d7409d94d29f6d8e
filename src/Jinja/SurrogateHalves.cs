using System.Globalization;
using System.Text;

namespace LocalLlm.Jinja;

/// <summary>JSON text with lone surrogates, such as <c>\ud83d</c> without its other half: valid JSON syntax, but not valid text.</summary>
public static class SurrogateHalves
{
    private const int EscapeLength = 6; // \uXXXX

    /// <summary>The same JSON with <c>\ufffd</c> in place of every lone surrogate, escaped or not.</summary>
    /// <param name="json">The JSON text.</param>
    public static string Replace(string json)
    {
        ArgumentNullException.ThrowIfNull(json);
        if (!json.AsSpan().ContainsAnyInRange('\ud800', '\udfff') && !json.Contains("\\ud", StringComparison.OrdinalIgnoreCase))
            return json;
        var result = new StringBuilder(json.Length);
        for (var i = 0; i < json.Length;)
        {
            var (unit, length) = UnitAt(json, i);
            if (!char.IsSurrogate(unit))
            {
                // Keep a backslash together with the character it escapes, which may be another backslash.
                length = json[i] == '\\' && length == 1 ? Math.Min(2, json.Length - i) : length;
                result.Append(json, i, length);
                i += length;
                continue;
            }

            var (next, nextLength) = i + length < json.Length ? UnitAt(json, i + length) : default;
            var isPair = char.IsSurrogatePair(unit, next);
            result.Append(isPair ? json.AsSpan(i, length + nextLength) : "\\ufffd");
            i += isPair ? length + nextLength : length;
        }

        return result.ToString();
    }

    // The UTF-16 unit that begins here, literal or escaped, and the length of its spelling.
    private static (char Unit, int Length) UnitAt(string json, int at)
    {
        var isEscape = json[at] == '\\' && at + EscapeLength <= json.Length && json[at + 1] == 'u';
        return isEscape && ushort.TryParse(json.AsSpan(at + 2, 4), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var code)
            ? ((char)code, EscapeLength)
            : (json[at], 1);
    }
}
