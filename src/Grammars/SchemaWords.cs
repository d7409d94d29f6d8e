using System.Text.Json;

namespace LocalLlm.Grammars;

/// <summary>The keywords of a schema that constrain an instance.</summary>
internal static class SchemaWords
{
    private static readonly HashSet<string> PlainWords =
    [
        "type", "enum", "const", "properties", "required", "additionalProperties", "minProperties", "items", "minItems", "maxItems", "minLength", "maxLength", "pattern", "format", "minimum", "maximum", "exclusiveMinimum",
        "exclusiveMaximum", "patternProperties", "maxProperties", "dependencies", "dependentRequired", "propertyNames", "uniqueItems", "contains", "minContains", "maxContains", "multipleOf", "prefixItems", "additionalItems",
    ];

    // Keywords with schemas for the same value.
    private static readonly HashSet<string> InPlaceWords = ["$ref", "allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas"];

    private static readonly HashSet<string> NotKept = ["unevaluatedItems", "unevaluatedProperties", "$dynamicRef", "$recursiveRef"];

    private const int MaxNameLength = 1000;

    /// <summary>The keywords of a schema that constrain an instance.</summary>
    public static IEnumerable<string> Of(JsonElement schema) =>
        schema.EnumerateObject().Select(property => property.Name).Where(word => PlainWords.Contains(word) || InPlaceWords.Contains(word) || NotKept.Contains(word));

    /// <summary>Whether a schema has keywords that need no choice.</summary>
    public static bool HasPlain(JsonElement schema) => schema.EnumerateObject().Any(property => PlainWords.Contains(property.Name));

    /// <summary>Whether a schema allows everything.</summary>
    public static bool SaysNothing(JsonElement schema) => schema.ValueKind == JsonValueKind.True || (schema.ValueKind == JsonValueKind.Object && !Of(schema).Any());

    /// <summary>The schemas for the same value that a schema contains, apart from references.</summary>
    public static IEnumerable<(JsonElement Schema, string At)> InPlace(JsonElement schema, string at)
    {
        foreach (var word in (string[])["allOf", "anyOf", "oneOf"])
        {
            foreach (var item in Items(schema, at, word))
                yield return item;
        }

        foreach (var word in (string[])["not", "if", "then", "else"])
        {
            if (schema.TryGetProperty(word, out var inner))
                yield return (inner, $"{at}/{word}");
        }

        foreach (var (_, inner, place) in Dependents(schema, at))
            yield return (inner, place);
    }

    /// <summary>The schemas of a keyword that holds an array of them, with their JSON pointers.</summary>
    public static IEnumerable<(JsonElement Schema, string At)> Items(JsonElement schema, string at, string word)
    {
        if (!schema.TryGetProperty(word, out var all) || all.ValueKind != JsonValueKind.Array)
            yield break;
        var i = 0;
        foreach (var item in all.EnumerateArray())
            yield return (item, $"{at}/{word}/{i++}");
    }

    /// <summary>Schemas that must hold if an object has a property.</summary>
    public static IEnumerable<(string Name, JsonElement Schema, string At)> Dependents(JsonElement schema, string at)
    {
        foreach (var word in (string[])["dependencies", "dependentSchemas"])
        {
            if (!schema.TryGetProperty(word, out var all) || all.ValueKind != JsonValueKind.Object)
                continue;
            foreach (var property in all.EnumerateObject())
            {
                if (IsSchema(property.Value))
                    yield return (property.Name, property.Value, $"{at}/{word}/{Escaped(property.Name)}");
            }
        }
    }

    /// <summary>A name as a part of a JSON pointer.</summary>
    public static string Escaped(string name) => name.Replace("~", "~0", StringComparison.Ordinal).Replace("/", "~1", StringComparison.Ordinal);

    /// <summary>Which properties must be present if another one is (<c>dependencies</c>, <c>dependentRequired</c>).</summary>
    public static Dictionary<string, string[]> NeedsOf(JsonElement schema)
    {
        var needs = new Dictionary<string, string[]>(StringComparer.Ordinal);
        foreach (var keyword in (string[])["dependencies", "dependentRequired"])
        {
            if (!schema.TryGetProperty(keyword, out var all))
                continue;
            foreach (var property in all.EnumerateObject().Where(property => !IsSchema(property.Value)))
                needs[property.Name] = [.. needs.GetValueOrDefault(property.Name, []), .. property.Value.ValueKind == JsonValueKind.String ? [property.Value.GetString()!] : property.Value.EnumerateArray().Select(name => name.GetString()!)];
        }

        return needs;
    }

    /// <summary>Refuses keywords that cannot be enforced, and invalid values of keywords.</summary>
    /// <exception cref="GrammarException">Names the keyword and its place.</exception>
    public static void Check(JsonElement schema, string at)
    {
        foreach (var property in schema.EnumerateObject())
        {
            if (Wanted(property) is { } wanted)
                throw new GrammarException($"{at}/{property.Name}: must be {wanted}, found {property.Value.ValueKind}");
            if (NotKept.Contains(property.Name) && property.Value.ValueKind != JsonValueKind.True)
                throw new GrammarException($"{at}/{property.Name}: cannot be enforced");
        }
    }

    // The expected kind of value, if the keyword's value is of another kind; else null.
    private static string? Wanted(JsonProperty keyword)
    {
        var kind = keyword.Value.ValueKind;
        var isNumber = kind == JsonValueKind.Number;
        return keyword.Name switch
        {
            "dependencies" or "dependentRequired" when kind != JsonValueKind.Object || keyword.Value.EnumerateObject().Any(property => property.Name.Length > MaxNameLength || !(AreNames(property.Value) || (keyword.Name == "dependencies" && IsSchema(property.Value)))) =>
                "an object of arrays of names",
            "not" or "if" or "then" or "else" or "contains" or "propertyNames" or "additionalItems" when !IsSchema(keyword.Value) => "a schema",
            "patternProperties" or "properties" or "dependentSchemas" when kind != JsonValueKind.Object || keyword.Value.EnumerateObject().Any(property => property.Name.Length > MaxNameLength || !IsSchema(property.Value)) =>
                $"an object of schemas with names of at most {MaxNameLength} characters",
            "required" when kind != JsonValueKind.Array || !AreNames(keyword.Value) =>
                $"an array of names of at most {MaxNameLength} characters",
            "type" when kind != JsonValueKind.String && (kind != JsonValueKind.Array || keyword.Value.EnumerateArray().Any(name => name.ValueKind != JsonValueKind.String)) => "the name of a type, or an array of such names",
            "enum" when kind != JsonValueKind.Array || keyword.Value.GetArrayLength() == 0 => "an array with at least one value",
            "anyOf" or "oneOf" or "allOf" or "prefixItems" when kind != JsonValueKind.Array || keyword.Value.GetArrayLength() == 0 || !keyword.Value.EnumerateArray().All(IsSchema) => "an array with at least one schema",
            "additionalProperties" when !IsSchema(keyword.Value) => "a schema",
            "items" when !IsSchema(keyword.Value) && (kind != JsonValueKind.Array || !keyword.Value.EnumerateArray().All(IsSchema)) => "a schema",
            "uniqueItems" when kind is not (JsonValueKind.True or JsonValueKind.False) => "true or false",
            "pattern" or "$ref" when kind != JsonValueKind.String => "a text",
            "minimum" or "maximum" or "minLength" or "maxLength" or "minItems" or "maxItems" or "minProperties" or "maxProperties" or "minContains" or "maxContains" or "multipleOf" when !isNumber => "a number",
            "exclusiveMinimum" or "exclusiveMaximum" when !isNumber && kind is not (JsonValueKind.True or JsonValueKind.False) => "a number",
            _ => null,
        };
    }

    private static bool AreNames(JsonElement value) =>
        (value.ValueKind == JsonValueKind.String && value.GetString()!.Length <= MaxNameLength) || (value.ValueKind == JsonValueKind.Array && value.EnumerateArray().All(name => name.ValueKind == JsonValueKind.String && name.GetString()!.Length <= MaxNameLength));

    private static bool IsSchema(JsonElement value) => value.ValueKind is JsonValueKind.Object or JsonValueKind.True or JsonValueKind.False;
}
