using System.Numerics;
using System.Text.Json;
using LocalLlm.Templating.Values;

namespace LocalLlm.Templating;

/// <summary>JSON as the values of a template, the way Python's <c>json.loads</c> reads it: <c>1</c> is an integer, <c>1.0</c> a float.</summary>
internal static class TemplateValues
{
    // Python refuses longer integers.
    private const int MaxDigits = 4300;

    /// <param name="element">The JSON.</param>
    /// <param name="field">The request field it came in, for messages.</param>
    /// <exception cref="EngineException">A number that no float can hold, text that is not Unicode, or a member given twice.</exception>
    /// <param name="lastWins">Whether a member may be given again, as Python's <c>json.loads</c> has it; otherwise that is an error.</param>
    public static object? FromJson(JsonElement element, string field, bool lastWins = false) => element.ValueKind switch
    {
        JsonValueKind.Object => Object(element, field, lastWins),
        JsonValueKind.Array => element.EnumerateArray().Select(item => FromJson(item, field, lastWins)).ToList(),
        JsonValueKind.String => Text(element, field),
        JsonValueKind.Number => Number(element, field),
        JsonValueKind.True => true,
        JsonValueKind.False => false,
        _ => null,
    };

    public static PyDict Object(JsonElement element, string field, bool lastWins = false)
    {
        var dict = new PyDict();
        foreach (var property in element.EnumerateObject())
        {
            var name = Name(property, field);
            if (!lastWins && dict.Contains(name))
                throw EngineException.InvalidRequest(field, $"{field}: the member '{Shorten(name)}' is given twice, allowed once");
            dict[name] = FromJson(property.Value, field, lastWins);
        }

        return dict;
    }

    /// <summary>
    /// Parses JSON text that came inside a string, which a model wrote: half of a surrogate pair becomes U+FFFD. False where it is not
    /// JSON, or holds a number that no value can hold.
    /// </summary>
    public static bool TryParse(string json, string field, out object? value)
    {
        value = null;
        try
        {
            using var document = JsonDocument.Parse(SurrogateHalves.Replace(json));
            value = FromJson(document.RootElement, field, lastWins: true);
            return true;
        }
        catch (Exception e) when (e is JsonException or EngineException)
        {
            return false;
        }
    }

    private static string Text(JsonElement element, string field)
    {
        try
        {
            return element.GetString()!;
        }
        catch (InvalidOperationException)
        {
            throw NotUnicode(field);
        }
    }

    private static string Name(JsonProperty property, string field)
    {
        try
        {
            return property.Name;
        }
        catch (InvalidOperationException)
        {
            throw NotUnicode(field);
        }
    }

    private static object Number(JsonElement element, string field)
    {
        var text = element.GetRawText();
        if (text.AsSpan().ContainsAny('.', 'e', 'E'))
        {
            return element.TryGetDouble(out var number) && double.IsFinite(number)
                ? number
                : throw EngineException.InvalidRequest(field, $"{field}: the number {Shorten(text)} is outside the range of a float");
        }

        if (element.TryGetInt64(out var integer))
            return integer;
        return text.Length <= MaxDigits
            ? PyNumber.Normalize(BigInteger.Parse(text, System.Globalization.CultureInfo.InvariantCulture))
            : throw EngineException.InvalidRequest(field, $"{field}: an integer of {text.Length} digits, allowed are {MaxDigits}");
    }

    private static string Shorten(string text) => text.Length > 40 ? text[..40] + "…" : text;

    private static EngineException NotUnicode(string field) =>
        EngineException.InvalidRequest(field, $"{field}: a string contains half of a surrogate pair, which is not Unicode text");
}
