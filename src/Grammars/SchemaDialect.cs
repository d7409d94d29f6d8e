using System.Text.Json;
using System.Text.Json.Nodes;

namespace LocalLlm.Grammars;

/// <summary>Keywords that are newer than the draft a schema declares: that draft reads them as annotations.</summary>
internal static class SchemaDialect
{
    private const int MaxDepth = 1000;
    private static readonly JsonSerializerOptions Deep = new() { MaxDepth = MaxDepth };
    private static readonly string[] SinceDraft6 = ["const", "contains", "propertyNames"];
    private static readonly string[] SinceDraft7 = ["if", "then", "else"];
    private static readonly string[] Since2019 = ["dependentRequired", "dependentSchemas", "minContains", "maxContains", "unevaluatedItems", "unevaluatedProperties", "prefixItems", "$recursiveRef", "$dynamicRef"];

    /// <summary>The schema without the keywords that its draft does not have.</summary>
    /// <param name="root">The schema.</param>
    public static JsonElement Trimmed(JsonElement root)
    {
        if (root.ValueKind != JsonValueKind.Object || !root.TryGetProperty("$schema", out var named) || named.ValueKind != JsonValueKind.String)
            return root;
        var draft = named.GetString()!;
        string[] unknown = [.. Is(4) ? SinceDraft6 : [], .. Is(4) || Is(6) ? SinceDraft7 : [], .. Is(4) || Is(6) || Is(7) ? Since2019 : []];
        var text = root.GetRawText();
        if (!Array.Exists(unknown, word => text.Contains($"\"{word}\"", StringComparison.Ordinal)))
            return root;
        var copy = JsonNode.Parse(text, documentOptions: new() { MaxDepth = MaxDepth, AllowDuplicateProperties = true })!;
        Trim(copy, unknown);
        return JsonSerializer.SerializeToElement(copy, Deep);

        bool Is(int number) => draft.Contains($"/draft-0{number}/", StringComparison.Ordinal);
    }

    // A schema is the value of a keyword, an element of an array, or a value under a name; anything else is not a schema.
    private static void Trim(JsonNode? schema, string[] unknown)
    {
        if (schema is not JsonObject words)
            return;
        foreach (var word in unknown)
            words.Remove(word);
        foreach (var (word, value) in words)
        {
            switch (word)
            {
                case "properties" or "patternProperties" or "definitions" or "$defs" or "dependencies" or "dependentSchemas" when value is JsonObject named:
                    foreach (var (_, inner) in named)
                        Trim(inner, unknown);
                    break;
                case "allOf" or "anyOf" or "oneOf" or "items" or "prefixItems" when value is JsonArray list:
                    foreach (var inner in list)
                        Trim(inner, unknown);
                    break;
                case "items" or "additionalItems" or "additionalProperties" or "not" or "if" or "then" or "else" or "contains" or "propertyNames":
                    Trim(value, unknown);
                    break;
            }
        }
    }
}
