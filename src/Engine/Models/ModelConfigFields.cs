using System.Globalization;
using System.Text.Json;
using LocalLlm.Weights;

namespace LocalLlm.Models;

/// <summary>
/// Typed access to the fields of one untrusted JSON object. A bad value is added to the problems and read as null; null in the
/// file counts as absent. Refuses numbers in quotes, 1.0 for an integer, and 0 or 1 for a boolean.
/// </summary>
/// <param name="json">The object.</param>
/// <param name="path">The object's path for messages, ending in a dot; empty at the top.</param>
/// <param name="problems">Where problems go.</param>
internal sealed class ModelConfigFields(JsonElement json, string path, ModelFolderProblems problems)
{
    private const int MaxIds = 1024;
    private const int MaxNameLength = 80;

    /// <summary>All fields in the file's order.</summary>
    public JsonElement.ObjectEnumerator All => json.EnumerateObject();

    /// <summary>True where the field exists, even as null.</summary>
    public bool Has(string name) => json.TryGetProperty(name, out _);

    /// <summary>The field's value; null where it is absent or null.</summary>
    public JsonElement? Value(string name) =>
        json.TryGetProperty(name, out var value) && value.ValueKind != JsonValueKind.Null ? value : null;

    /// <summary>Adds a problem for this field: the value found, and what was <paramref name="wanted"/>.</summary>
    public void Refuse(string name, string wanted) =>
        problems.Add(
            $"{path}{Shown(name)}: {(json.TryGetProperty(name, out var value) ? "found " + Describe(value) : "is missing")}, wanted {wanted}");

    /// <summary>
    /// Adds a problem for every field with an unknown name, unless it is null or an empty object or list.
    /// </summary>
    public void RefuseOthers(IReadOnlyList<string> known)
    {
        foreach (var field in json.EnumerateObject())
        {
            var isEmpty = field.Value.ValueKind switch
            {
                JsonValueKind.Null => true,
                JsonValueKind.Object => !field.Value.EnumerateObject().Any(),
                JsonValueKind.Array => field.Value.GetArrayLength() == 0,
                _ => false,
            };
            if (!isEmpty && !known.Any(name => field.NameEquals(name)))
                problems.Add($"{path}{Shown(field)}: found {Describe(field.Value)}, wanted none: this build does not read it");
        }
    }

    /// <summary>An integer in a closed range.</summary>
    public int? Int(string name, int min, int max)
    {
        if (Value(name) is not { } value)
            return null;
        if (value.ValueKind == JsonValueKind.Number && value.TryGetInt64(out var number) && number >= min && number <= max)
            return (int)number;
        Refuse(name, $"a whole number from {min} to {max}");
        return null;
    }

    /// <summary>As <see cref="Int"/>, but an absent field is a problem too.</summary>
    public int? RequiredInt(string name, int min, int max)
    {
        if (Value(name) is null)
            Refuse(name, $"a whole number from {min} to {max}");
        return Int(name, min, max);
    }

    /// <summary>A finite number in a closed range.</summary>
    public double? Number(string name, double min, double max)
    {
        if (Value(name) is not { } value)
            return null;
        // 1e400 parses as infinity.
        if (value.ValueKind == JsonValueKind.Number && value.TryGetDouble(out var number) && number >= min && number <= max)
            return number;
        Refuse(name, string.Create(CultureInfo.InvariantCulture, $"a number from {min} to {max}"));
        return null;
    }

    /// <summary>A finite number above 0.</summary>
    public double? PositiveNumber(string name, double max)
    {
        if (Value(name) is not { } value)
            return null;
        if (value.ValueKind == JsonValueKind.Number && value.TryGetDouble(out var number) && number > 0 && number <= max)
            return number;
        Refuse(name, string.Create(CultureInfo.InvariantCulture, $"a number above 0, at most {max}"));
        return null;
    }

    /// <summary>A boolean.</summary>
    public bool? Bool(string name)
    {
        if (Value(name) is not { } value)
            return null;
        if (value.ValueKind is JsonValueKind.True or JsonValueKind.False)
            return value.GetBoolean();
        Refuse(name, "true or false");
        return null;
    }

    /// <summary>A string.</summary>
    public string? Text(string name)
    {
        if (Value(name) is not { } value)
            return null;
        if (TryText(value) is { } text)
            return text;
        Refuse(name, "a string");
        return null;
    }

    /// <summary>A list of strings.</summary>
    public IReadOnlyList<string>? Texts(string name)
    {
        if (Value(name) is not { } value)
            return null;
        if (value.ValueKind == JsonValueKind.Array)
        {
            var texts = value.EnumerateArray().Select(TryText).OfType<string>().ToList();
            if (texts.Count == value.GetArrayLength())
                return texts;
        }

        Refuse(name, "a list of strings");
        return null;
    }

    /// <summary>The fields of an object.</summary>
    public ModelConfigFields? Object(string name)
    {
        if (Value(name) is not { } value)
            return null;
        if (value.ValueKind == JsonValueKind.Object)
            return new ModelConfigFields(value, $"{path}{Shown(name)}.", problems);
        Refuse(name, "an object");
        return null;
    }

    /// <summary>One token id below <paramref name="vocabSize"/>, or a list of them; null where absent.</summary>
    public IReadOnlyList<int>? TokenIds(string name, int vocabSize)
    {
        if (Value(name) is not { } value)
            return null;
        if (value.ValueKind != JsonValueKind.Array)
            return Int(name, 0, vocabSize - 1) is { } id ? [id] : null;

        if (value.GetArrayLength() <= MaxIds)
        {
            var ids = new List<int>();
            foreach (var element in value.EnumerateArray())
            {
                if (element.ValueKind == JsonValueKind.Number && element.TryGetInt32(out var number) && number >= 0 && number < vocabSize)
                    ids.Add(number);
            }

            if (ids.Count == value.GetArrayLength())
                return [.. ids.Distinct()];
        }

        Refuse(name, $"a token id from 0 to {vocabSize - 1}, or a list of at most {MaxIds} of them");
        return null;
    }

    /// <summary>Describes a value for a message; short, whatever the value's size.</summary>
    public static string Describe(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Object => "an object",
        JsonValueKind.Array => $"a list of {value.GetArrayLength()}",
        JsonValueKind.String => ModelFolderProblems.Quote(TryText(value) ?? "(text with a lone surrogate)"),
        JsonValueKind.Number => value.GetRawText() is { Length: <= 40 } number ? number : "a number of more than 40 characters",
        JsonValueKind.True => "true",
        JsonValueKind.False => "false",
        _ => "null",
    };

    // Names of groups and unknown fields come from the file.
    private static string Shown(string name) =>
        name.Length <= MaxNameLength && !name.Any(char.IsControl) ? name : ModelFolderProblems.Quote(name);

    private static string Shown(JsonProperty field)
    {
        try
        {
            return Shown(field.Name);
        }
        catch (InvalidOperationException)
        {
            return "(a name with a lone surrogate)";
        }
    }

    private static string? TryText(JsonElement value)
    {
        if (value.ValueKind != JsonValueKind.String)
            return null;
        try
        {
            return value.GetString();
        }
        catch (InvalidOperationException)
        {
            return null; // an escaped lone surrogate
        }
    }
}
