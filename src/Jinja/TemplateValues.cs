using System.Numerics;
using System.Text.Json;
using LocalLlm.Jinja.Builtins;
using LocalLlm.Jinja.Runtime;
using LocalLlm.Jinja.Values;

namespace LocalLlm.Jinja;

/// <summary>
/// Converts JSON to the values of a template as Python's <c>json.loads</c> does. <c>1</c> becomes an integer (<see cref="long"/>,
/// or <see cref="BigInteger"/> if it is larger), <c>1.0</c> a <see cref="double"/>, an array a <see cref="List{T}"/> of values,
/// and an object a <see cref="PyDict"/>.
/// </summary>
public static class TemplateValues
{
    // Python refuses longer integers.
    private const int MaxDigits = 4300;

    /// <summary>Converts any JSON value.</summary>
    /// <param name="element">The JSON.</param>
    /// <param name="lastWins">Whether the last of duplicate members wins, as in Python's <c>json.loads</c>; otherwise they are an
    /// error.</param>
    /// <exception cref="TemplateException">
    /// <see cref="TemplateErrorKind.Value"/>: a number that does not fit a float, text that is not valid Unicode, or a duplicate member.
    /// </exception>
    public static object? FromJson(JsonElement element, bool lastWins = false) => element.ValueKind switch
    {
        JsonValueKind.Object => Object(element, lastWins),
        JsonValueKind.Array => element.EnumerateArray().Select(item => FromJson(item, lastWins)).ToList(),
        JsonValueKind.String => Text(element),
        JsonValueKind.Number => Number(element),
        JsonValueKind.True => true,
        JsonValueKind.False => false,
        _ => null,
    };

    /// <summary>Converts a JSON object.</summary>
    /// <param name="element">The JSON.</param>
    /// <param name="lastWins">Whether the last of duplicate members wins, as in Python's <c>json.loads</c>; otherwise they are an
    /// error.</param>
    /// <exception cref="TemplateException">As <see cref="FromJson"/>.</exception>
    public static PyDict Object(JsonElement element, bool lastWins = false)
    {
        var dict = new PyDict();
        foreach (var property in element.EnumerateObject())
        {
            var name = Name(property);
            if (!lastWins && dict.Contains(name))
                throw TemplateException.Value($"the member '{Shorten(name)}' is given twice, allowed once");
            dict[name] = FromJson(property.Value, lastWins);
        }

        return dict;
    }

    /// <summary>
    /// Parses JSON text that a model wrote inside a string; a lone surrogate becomes U+FFFD. False if the text is not JSON, or
    /// contains a number that no value can hold.
    /// </summary>
    /// <param name="json">The text.</param>
    /// <param name="value">The value; null if the result is false or the text is <c>null</c>.</param>
    public static bool TryParse(string json, out object? value)
    {
        value = null;
        try
        {
            using var document = JsonDocument.Parse(SurrogateHalves.Replace(json));
            value = FromJson(document.RootElement, lastWins: true);
            return true;
        }
        catch (Exception e) when (e is JsonException or TemplateException)
        {
            return false;
        }
    }

    /// <summary>A value as JSON text, as the filter <c>tojson</c> writes it.</summary>
    /// <param name="value">A value of a template.</param>
    /// <exception cref="TemplateException">The value cannot be written as JSON, or its text exceeds the default limits.</exception>
    public static string ToJson(object? value)
    {
        var context = new RenderContext(new PyDict { ["value"] = value }, TemplateLimits.Default, TimeProvider.System);
        return new JsonWriter(context, ensureAscii: false, indent: null, separators: null, sortKeys: false).Write(value);
    }

    private static string Text(JsonElement element)
    {
        try
        {
            return element.GetString()!;
        }
        catch (InvalidOperationException)
        {
            throw NotUnicode();
        }
    }

    private static string Name(JsonProperty property)
    {
        try
        {
            return property.Name;
        }
        catch (InvalidOperationException)
        {
            throw NotUnicode();
        }
    }

    private static object Number(JsonElement element)
    {
        var text = element.GetRawText();
        if (text.AsSpan().ContainsAny('.', 'e', 'E'))
        {
            return element.TryGetDouble(out var number) && double.IsFinite(number)
                ? number
                : throw TemplateException.Value($"the number {Shorten(text)} is outside the range of a float");
        }

        if (element.TryGetInt64(out var integer))
            return integer;
        return text.Length <= MaxDigits
            ? PyNumber.Normalize(BigInteger.Parse(text, System.Globalization.CultureInfo.InvariantCulture))
            : throw TemplateException.Value($"an integer of {text.Length} digits, allowed are {MaxDigits}");
    }

    private static string Shorten(string text) => text.Length > 40 ? text[..40] + "…" : text;

    private static TemplateException NotUnicode() => TemplateException.Value("a string contains half of a surrogate pair, which is not Unicode text");
}
