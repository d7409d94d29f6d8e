using System.Text.Json;

namespace LocalLlm.Sampling.Grammar;

/// <summary>Which words of a schema say what an instance must be.</summary>
internal static class JsonSchemaKeywords
{
    private static readonly HashSet<string> Kept =
    [
        "type", "enum", "const", "properties", "required", "additionalProperties", "minProperties", "items", "minItems", "maxItems", "minLength", "maxLength", "pattern", "format", "minimum", "maximum", "exclusiveMinimum",
        "exclusiveMaximum", "anyOf", "oneOf", "allOf", "$ref",
    ];

    private static readonly HashSet<string> NotKept =
    [
        "not", "if", "then", "else", "dependencies", "dependentRequired", "dependentSchemas", "propertyNames", "patternProperties", "maxProperties", "uniqueItems", "contains", "minContains", "maxContains", "multipleOf", "prefixItems",
        "additionalItems", "unevaluatedItems", "unevaluatedProperties", "$dynamicRef", "$recursiveRef",
    ];

    /// <summary>Whether anything but notes is said.</summary>
    public static bool HasValidation(JsonElement schema) => schema.ValueKind == JsonValueKind.Object && schema.EnumerateObject().Any(property => Kept.Contains(property.Name) || NotKept.Contains(property.Name));

    /// <summary>Refuses what cannot be kept to.</summary>
    /// <exception cref="GrammarException">The keyword and its place.</exception>
    public static void Check(JsonElement schema, string at)
    {
        foreach (var property in schema.EnumerateObject())
        {
            if (NotKept.Contains(property.Name) && !SaysNothing(property))
                throw new GrammarException($"{at}/{property.Name}: cannot be kept to");
            if (property is { Name: "items", Value.ValueKind: JsonValueKind.Array })
                throw new GrammarException($"{at}/items: items of different places cannot be kept to");
        }
    }

    private static bool SaysNothing(JsonProperty property) => property.Name switch
    {
        "uniqueItems" => property.Value.ValueKind == JsonValueKind.False,
        "patternProperties" or "dependencies" or "dependentRequired" or "dependentSchemas" or "propertyNames" => property.Value.ValueKind == JsonValueKind.Object && !property.Value.EnumerateObject().Any(),
        // Without an array of items they have no meaning.
        "additionalItems" => true,
        "then" or "else" => false,
        _ => false,
    };
}
