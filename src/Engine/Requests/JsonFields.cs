using System.Globalization;
using System.Text.Json;

namespace LocalLlm.Requests;

/// <summary>
/// Reads typed values out of one JSON object and records what is wrong with each. Null counts as absent. A number is never taken from a
/// string or a boolean, and 1e400 (which the JSON reader turns into Infinity) is refused.
/// Every reader returns null if the field is absent, null or wrong. Not safe for concurrent use.
/// </summary>
public sealed class JsonFields
{
    private readonly Dictionary<string, JsonElement> _values = new(StringComparer.Ordinal);
    private readonly HashSet<string> _consumed = new(StringComparer.Ordinal);
    private readonly RequestErrors _errors;

    /// <summary>Takes the members of an object; records a member that occurs twice.</summary>
    /// <param name="element">A JSON object, which must live as long as these fields.</param>
    /// <param name="errors">Receives faults.</param>
    /// <exception cref="ArgumentException"><paramref name="element"/> is not an object.</exception>
    public JsonFields(JsonElement element, RequestErrors errors)
    {
        ArgumentNullException.ThrowIfNull(errors);
        if (element.ValueKind != JsonValueKind.Object)
            throw new ArgumentException($"given {Describe(element)}, allowed an object", nameof(element));
        _errors = errors;
        foreach (var property in element.EnumerateObject())
        {
            if (NameOf("sampling parameters", property) is { } name && !_values.TryAdd(name, property.Value))
                _errors.Add(name, "the field twice", "one value");
        }
    }

    /// <summary>Names that no caller has read, in the order of the object.</summary>
    public IReadOnlyList<string> Unconsumed => [.. _values.Keys.Where(name => !_consumed.Contains(name))];

    /// <summary>Every name of the object, in its order.</summary>
    public IEnumerable<string> Names => _values.Keys;

    /// <summary>The value, or null if the field is absent or null; the field then counts as read.</summary>
    public JsonElement? Take(string name)
    {
        _consumed.Add(name);
        return _values.TryGetValue(name, out var value) && value.ValueKind != JsonValueKind.Null ? value : null;
    }

    /// <summary>A finite number.</summary>
    public double? Number(string name) => Take(name) is { } value ? NumberOf(name, value) : null;

    /// <summary>A 32-bit integer; 5.0 and 1e1 count as integers.</summary>
    public int? Integer(string name) => (int?)Integer(name, int.MinValue, int.MaxValue);

    /// <summary>An integer from <paramref name="min"/> to <paramref name="max"/>.</summary>
    public long? Integer(string name, long min, long max) =>
        Take(name) is { } value ? IntegerOf(name, value, min, max) : null;

    /// <summary>True or false.</summary>
    public bool? Boolean(string name)
    {
        if (Take(name) is not { } value)
            return null;
        if (value.ValueKind is JsonValueKind.True or JsonValueKind.False)
            return value.GetBoolean();
        Refuse(name, value, "true or false");
        return null;
    }

    /// <summary>A list of strings; with <paramref name="allowBare"/>, a bare string counts as a list of one.</summary>
    public IReadOnlyList<string>? Strings(string name, bool allowBare)
    {
        if (Take(name) is not { } value)
            return null;
        if (allowBare && value.ValueKind == JsonValueKind.String)
            return StringOf(name, value) is { } bare ? [bare] : null;
        var allowed = allowBare ? "a string or a list of strings" : "a list of strings";
        if (value.ValueKind != JsonValueKind.Array)
        {
            Refuse(name, value, allowed);
            return null;
        }

        var list = new List<string>();
        foreach (var item in value.EnumerateArray())
        {
            if (item.ValueKind != JsonValueKind.String)
                Refuse(name, item, allowed);
            else if (StringOf(name, item) is { } text)
                list.Add(text);
        }

        return list;
    }

    /// <summary>A list of 32-bit integers. The engine checks whether the model has such token ids.</summary>
    public IReadOnlyList<int>? TokenIds(string name)
    {
        if (Take(name) is not { } value)
            return null;
        if (value.ValueKind != JsonValueKind.Array)
        {
            Refuse(name, value, "a list of token ids");
            return null;
        }

        var list = new List<int>();
        foreach (var item in value.EnumerateArray())
        {
            if (IntegerOf(name, item, int.MinValue, int.MaxValue) is { } id)
                list.Add((int)id);
        }

        return list;
    }

    /// <summary>An object that maps token ids (JSON keys are text) to finite numbers.</summary>
    internal IReadOnlyDictionary<int, double>? Biases(string name)
    {
        if (Take(name) is not { } value)
            return null;
        if (value.ValueKind != JsonValueKind.Object)
        {
            Refuse(name, value, "an object of token id to number");
            return null;
        }

        var biases = new Dictionary<int, double>();
        foreach (var property in value.EnumerateObject())
        {
            if (NameOf(name, property) is not { } key)
                continue;
            if (!int.TryParse(key, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var id))
                _errors.Add(name, $"the key \"{key}\"", "token ids as keys");
            else if (NumberOf(name, property.Value) is { } bias && !biases.TryAdd(id, bias))
                _errors.Add(name, $"the token id {id} twice", "each token id once");
        }

        return biases;
    }

    /// <summary>A text.</summary>
    /// <param name="name">The field.</param>
    /// <param name="allowed">What the error message says is allowed.</param>
    public string? Text(string name, string allowed = "a text")
    {
        if (Take(name) is not { } value)
            return null;
        if (value.ValueKind == JsonValueKind.String)
            return StringOf(name, value);
        Refuse(name, value, allowed);
        return null;
    }

    /// <summary>A text that may contain a lone surrogate (<c>"\ud800"</c>), which the tokenizer reads as U+FFFD.</summary>
    public string? LenientText(string name) =>
        Take(name) is { ValueKind: JsonValueKind.String } value ? LoneSurrogates.TextOf(value) : Text(name);

    /// <summary>A value of one JSON kind, otherwise unchecked.</summary>
    /// <param name="name">The field.</param>
    /// <param name="kind">The kind.</param>
    /// <param name="allowed">What the error message says is allowed.</param>
    public JsonElement? Json(string name, JsonValueKind kind, string allowed)
    {
        if (Take(name) is not { } value)
            return null;
        if (value.ValueKind == kind)
            return value;
        Refuse(name, value, allowed);
        return null;
    }

    /// <summary>Records that a value is not allowed.</summary>
    public void Refuse(string name, JsonElement value, string allowed) => _errors.Add(name, Describe(value), allowed);

    private double? NumberOf(string name, JsonElement value)
    {
        if (value.ValueKind == JsonValueKind.Number && value.TryGetDouble(out var number) && double.IsFinite(number))
            return number;
        Refuse(name, value, "a finite number");
        return null;
    }

    private long? IntegerOf(string name, JsonElement value, long min, long max)
    {
        if (value.ValueKind == JsonValueKind.Number)
        {
            if (value.TryGetInt64(out var whole) && whole >= min && whole <= max)
                return whole;
            // 5.0 and 1e1 count as integers; beyond 2^53 a double no longer identifies one integer.
            if (value.TryGetDouble(out var number) && double.IsInteger(number) && Math.Abs(number) <= 1L << 53
                && number >= min && number <= max)
                return (long)number;
        }

        Refuse(name, value, string.Create(CultureInfo.InvariantCulture, $"a whole number from {min} to {max}"));
        return null;
    }

    private string? StringOf(string field, JsonElement value) => Decode(field, () => value.GetString());

    private string? NameOf(string field, JsonProperty property) => Decode(field, () => property.Name);

    /// <summary>A lone surrogate escape (\ud800) is valid JSON but not valid text; only decoding finds it.</summary>
    private string? Decode(string field, Func<string?> read)
    {
        try
        {
            return read();
        }
        catch (InvalidOperationException)
        {
            _errors.Add(field, "text with half of a surrogate pair", "valid Unicode text");
            return null;
        }
    }

    private static string Describe(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.String => "a string",
        JsonValueKind.Array => "a list",
        JsonValueKind.Object => "an object",
        JsonValueKind.Null => "null",
        JsonValueKind.True => "true",
        JsonValueKind.False => "false",
        _ => value.GetRawText(),
    };
}
