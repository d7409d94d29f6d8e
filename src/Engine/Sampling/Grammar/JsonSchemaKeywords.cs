using System.Text.Json;

namespace LocalLlm.Sampling.Grammar;

/// <summary>Which words of a schema say what an instance must be.</summary>
internal static class JsonSchemaKeywords
{
    private static readonly HashSet<string> Kept =
    [
        "type", "enum", "const", "properties", "required", "additionalProperties", "minProperties", "items", "minItems", "maxItems", "minLength", "maxLength", "pattern", "format", "minimum", "maximum", "exclusiveMinimum",
        "exclusiveMaximum", "anyOf", "oneOf", "allOf", "$ref", "not", "patternProperties", "maxProperties", "dependencies", "dependentRequired",
    ];

    private static readonly HashSet<string> NotKept =
    [
        "if", "then", "else", "dependentSchemas", "propertyNames", "uniqueItems", "contains", "minContains", "maxContains", "multipleOf", "prefixItems",
        "additionalItems", "unevaluatedItems", "unevaluatedProperties", "$dynamicRef", "$recursiveRef",
    ];

    private const int MaxNameLength = 1000;

    /// <summary>Whether a word says what an instance must be.</summary>
    public static bool IsValidation(string word) => Kept.Contains(word) || NotKept.Contains(word);

    /// <summary>The words of a schema that say what an instance must be.</summary>
    public static IEnumerable<string> WordsOf(JsonElement schema) => schema.EnumerateObject().Select(property => property.Name).Where(IsValidation).Distinct();

    /// <summary>Which properties must be there beside others (<c>dependencies</c>, <c>dependentRequired</c>).</summary>
    public static Dictionary<string, string[]> NeedsOf(JsonElement schema)
    {
        var needs = new Dictionary<string, string[]>(StringComparer.Ordinal);
        foreach (var keyword in (string[])["dependencies", "dependentRequired"])
        {
            if (!schema.TryGetProperty(keyword, out var all))
                continue;
            foreach (var property in all.EnumerateObject())
                needs[property.Name] = [.. needs.GetValueOrDefault(property.Name, []), .. property.Value.ValueKind == JsonValueKind.String ? [property.Value.GetString()!] : property.Value.EnumerateArray().Select(name => name.GetString()!)];
        }

        return needs;
    }

    /// <summary>Whether anything but notes is said.</summary>
    public static bool HasValidation(JsonElement schema) => schema.ValueKind == JsonValueKind.Object && schema.EnumerateObject().Any(property => IsValidation(property.Name));

    /// <summary>Refuses what cannot be kept to, and values that mean nothing.</summary>
    /// <exception cref="GrammarException">The keyword and its place.</exception>
    public static void Check(JsonElement schema, string at)
    {
        foreach (var property in schema.EnumerateObject())
        {
            if (Wanted(property) is { } wanted)
                throw new GrammarException($"{at}/{property.Name}: must be {wanted}, found {property.Value.ValueKind}");
            if (NotKept.Contains(property.Name) && !SaysNothing(property))
                throw new GrammarException($"{at}/{property.Name}: cannot be kept to");
            if (property is { Name: "items", Value.ValueKind: JsonValueKind.Array })
                throw new GrammarException($"{at}/items: items of different places cannot be kept to");
        }
    }

    // What the value of a keyword must be where it is something else.
    private static string? Wanted(JsonProperty keyword)
    {
        var kind = keyword.Value.ValueKind;
        var isNumber = kind == JsonValueKind.Number;
        return keyword.Name switch
        {
            "dependencies" or "dependentRequired" when kind != JsonValueKind.Object || keyword.Value.EnumerateObject().Any(property => property.Name.Length > MaxNameLength || !AreNames(property.Value)) =>
                "an object of arrays of names (schemas cannot be kept to)",
            "not" when !IsSchema(keyword.Value) => "a schema",
            "patternProperties" or "properties" when kind != JsonValueKind.Object || keyword.Value.EnumerateObject().Any(property => property.Name.Length > MaxNameLength || !IsSchema(property.Value)) =>
                $"an object of schemas with names of at most {MaxNameLength} characters",
            "required" when kind != JsonValueKind.Array || !AreNames(keyword.Value) =>
                $"an array of names of at most {MaxNameLength} characters",
            "type" when kind != JsonValueKind.String && (kind != JsonValueKind.Array || keyword.Value.EnumerateArray().Any(name => name.ValueKind != JsonValueKind.String)) => "the name of a type, or an array of such names",
            "enum" when kind != JsonValueKind.Array => "an array",
            "anyOf" or "oneOf" or "allOf" when kind != JsonValueKind.Array || !keyword.Value.EnumerateArray().All(IsSchema) => "an array of schemas",
            "additionalProperties" when !IsSchema(keyword.Value) => "a schema",
            "items" when !IsSchema(keyword.Value) && kind != JsonValueKind.Array => "a schema",
            "pattern" or "$ref" when kind != JsonValueKind.String => "a text",
            "minimum" or "maximum" or "minLength" or "maxLength" or "minItems" or "maxItems" or "minProperties" or "maxProperties" when !isNumber => "a number",
            "exclusiveMinimum" or "exclusiveMaximum" when !isNumber && kind is not (JsonValueKind.True or JsonValueKind.False) => "a number",
            _ => null,
        };
    }

    private static bool AreNames(JsonElement value) =>
        value.ValueKind == JsonValueKind.String || (value.ValueKind == JsonValueKind.Array && value.EnumerateArray().All(name => name.ValueKind == JsonValueKind.String && name.GetString()!.Length <= MaxNameLength));

    private static bool IsSchema(JsonElement value) => value.ValueKind is JsonValueKind.Object or JsonValueKind.True or JsonValueKind.False;

    private static bool SaysNothing(JsonProperty property) => property.Name switch
    {
        "uniqueItems" => property.Value.ValueKind == JsonValueKind.False,
        "dependentSchemas" or "propertyNames" => property.Value.ValueKind == JsonValueKind.Object && !property.Value.EnumerateObject().Any(),
        // Without an array of items they have no meaning.
        "additionalItems" => true,
        "then" or "else" => false,
        _ => false,
    };
}
