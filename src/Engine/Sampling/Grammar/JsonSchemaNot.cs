using System.Text.Json;

namespace LocalLlm.Sampling.Grammar;

/// <summary>The keyword <c>not</c>, as far as it can be said by other keywords, or of strings.</summary>
internal static class JsonSchemaNot
{
    private static readonly string[] AllTypes = ["object", "array", "string", "number", "boolean", "null"];

    /// <summary>A schema that holds where another does not.</summary>
    public static JsonElement Of(JsonElement schema) => JsonSchemaMerge.Made(new() { ["not"] = schema });

    /// <summary>A schema without its <c>not</c>, said in another way; null: it speaks of strings, and stays.</summary>
    /// <param name="schema">The schema.</param>
    /// <param name="not">Its <c>not</c>, references followed.</param>
    /// <param name="at">Its place.</param>
    /// <exception cref="GrammarException">There is no other way.</exception>
    public static JsonElement? Rewritten(JsonElement schema, JsonElement not, string at)
    {
        var rest = JsonSchemaMerge.Without(schema, "not");
        if (not.ValueKind == JsonValueKind.False)
            return rest;
        if (!JsonSchemaKeywords.HasValidation(not))
            throw new UnsatisfiableException($"{at}/not: nothing is allowed here");
        JsonSchemaKeywords.Check(not, $"{at}/not");
        var own = TypesOf(schema);
        var theirs = not.TryGetProperty("type", out _) || Constants(not) is null ? TypesOf(not) : null;
        var words = JsonSchemaKeywords.WordsOf(not).Where(word => word != "type").ToArray();
        if (theirs is not null && own.All(type => !theirs.Contains(type) && !(type == "integer" && theirs.Contains("number")) && !(type == "number" && theirs.Contains("integer"))))
            return rest;
        switch (words)
        {
            case []:
                return WithTypes(rest, own.Where(type => !theirs!.Contains(type) && !(type == "integer" && theirs.Contains("number"))), own.Contains("number") && theirs!.Contains("integer") && !theirs.Contains("number"), at);
            case ["not"]:
                if (not.TryGetProperty("type", out _))
                    break;
                return JsonSchemaMerge.Merge(rest, not.GetProperty("not"), at);
            case ["anyOf"] when !not.TryGetProperty("type", out _):
                return JsonSchemaMerge.Merge(rest, JsonSchemaMerge.All([.. not.GetProperty("anyOf").EnumerateArray().Select(Of)]), at);
            case ["required"] when own.All(type => type == "object") && not.GetProperty("required").GetArrayLength() > 0:
                // One of them has to be away.
                var away = not.GetProperty("required").EnumerateArray().Select(name => JsonSchemaMerge.Made(new()
                {
                    ["properties"] = JsonSchemaMerge.Made(new() { [name.GetString()!] = JsonSerializer.SerializeToElement(false) }),
                })).ToArray();
                return JsonSchemaMerge.Merge(rest, away.Length == 1 ? away[0] : JsonSchemaMerge.Made(new() { ["anyOf"] = JsonSerializer.SerializeToElement(away) }), at);
            case ["enum"] or ["const"] when schema.TryGetProperty("enum", out var candidates) && !schema.TryGetProperty("const", out _):
                var left = candidates.EnumerateArray().Where(value => !Constants(not)!.Any(other => JsonElement.DeepEquals(value, other)) || (theirs is not null && !theirs.Contains(JsonSchemaMerge.TypeOf(value)))).ToArray();
                return left.Length == 0 ? throw new UnsatisfiableException($"{at}: none of the constants is allowed") : JsonSchemaMerge.Merge(JsonSchemaMerge.Without(rest, "enum"), JsonSchemaMerge.Made(new() { ["enum"] = JsonSerializer.SerializeToElement(left) }), at);
            case ["enum"] or ["const"] when own.All(type => type == "string" || Constants(not)!.All(value => JsonSchemaMerge.TypeOf(value) != (type == "integer" ? "number" : type))):
                return null;
            case ["pattern"] when own.All(type => type == "string") || theirs is ["string"]:
                return null;
        }

        throw new GrammarException($"{at}/not: cannot be kept to");
    }

    /// <summary>The strings that a schema's <c>not</c> forbids, after <see cref="Rewritten"/>.</summary>
    public static IReadOnlyList<StringLanguages.Language> StringsOf(JsonElement schema)
    {
        if (!schema.TryGetProperty("not", out var not) || not.ValueKind != JsonValueKind.Object)
            return [];
        if (not.TryGetProperty("pattern", out var pattern))
            return [(nodes, text) => new RegexGrammar(nodes, text.Character).Search(pattern.GetString()!)];
        var strings = Constants(not)?.Where(value => value.ValueKind == JsonValueKind.String).Select(value => value.GetString()!).ToArray() ?? [];
        return strings.Length == 0 ? [] : [(nodes, text) => nodes.Either([.. strings.Select(text.Characters)])];
    }

    private static JsonElement WithTypes(JsonElement rest, IEnumerable<string> types, bool isNumberWithoutIntegers, string at)
    {
        if (isNumberWithoutIntegers)
            throw new GrammarException($"{at}/not: numbers that are no integers cannot be kept to");
        var left = types.ToArray();
        return left.Length == 0
            ? throw new UnsatisfiableException($"{at}: no type is left")
            : JsonSchemaMerge.Merge(JsonSchemaMerge.Without(rest, "type"), JsonSchemaMerge.Made(new() { ["type"] = JsonSerializer.SerializeToElement(left) }), at);
    }

    private static string[] TypesOf(JsonElement schema) => !schema.TryGetProperty("type", out var type)
        ? Constants(schema) is { } values ? [.. values.Select(JsonSchemaMerge.TypeOf).Distinct()] : AllTypes
        : type.ValueKind == JsonValueKind.Array ? [.. type.EnumerateArray().Select(name => name.GetString()!)] : [type.GetString()!];

    private static JsonElement[]? Constants(JsonElement schema) =>
        schema.TryGetProperty("const", out var constant) ? [constant] : schema.TryGetProperty("enum", out var values) && values.ValueKind == JsonValueKind.Array ? [.. values.EnumerateArray()] : null;
}
