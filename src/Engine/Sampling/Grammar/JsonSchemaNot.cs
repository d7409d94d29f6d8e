using System.Text.Json;

namespace LocalLlm.Sampling.Grammar;

/// <summary>The keyword <c>not</c>, as far as it can be said by other keywords, or of strings.</summary>
/// <param name="resolve">Follows references.</param>
internal sealed class JsonSchemaNot(Func<JsonElement, JsonElement> resolve)
{
    private const int MaxAlternatives = 64;
    private static readonly string[] AllTypes = ["object", "array", "string", "number", "boolean", "null"];
    private static readonly string[] StringWords = ["pattern", "minLength", "maxLength"];
    private static readonly string[] ObjectWords = ["properties", "required", "additionalProperties"];

    /// <summary>A schema that holds where another does not.</summary>
    public static JsonElement Of(JsonElement schema) => JsonSchemaMerge.Made(new() { ["not"] = schema });

    /// <summary>A schema with its <c>not</c> said in another way; null: what is left speaks of strings, and stays.</summary>
    /// <param name="schema">The schema, with references in its <c>not</c> followed.</param>
    /// <param name="at">Its place.</param>
    /// <exception cref="GrammarException">There is no other way.</exception>
    public JsonElement? Rewritten(JsonElement schema, string at)
    {
        var rest = JsonSchemaMerge.Without(schema, "not");
        var (kept, changed) = (new List<JsonElement>(), false);
        foreach (var not in Parts(schema.GetProperty("not")))
        {
            if (Without(rest, not, at) is { } said)
                (rest, changed) = (said, true);
            else
                kept.Add(not);
        }

        if (!changed)
            return null;
        return kept.Count == 0 ? rest : JsonSchemaMerge.Merge(rest, Of(kept.Count == 1 ? kept[0] : AnyOf(kept)), at);
    }

    /// <summary>What a schema's <c>not</c> forbids of strings, after <see cref="Rewritten"/>: those that are in all languages of one of the lists.</summary>
    public IReadOnlyList<IReadOnlyList<StringLanguages.Language>> StringsOf(JsonElement schema) =>
        !schema.TryGetProperty("not", out var not) ? [] : [.. Parts(not).Select(LanguagesOf).Where(languages => languages.Count > 0)];

    // Not one of several: none of them.
    private IEnumerable<JsonElement> Parts(JsonElement not)
    {
        not = resolve(not);
        return not.ValueKind == JsonValueKind.Object && JsonSchemaKeywords.WordsOf(not).ToArray() is ["anyOf"] ? not.GetProperty("anyOf").EnumerateArray().SelectMany(Parts) : [not];
    }

    private static JsonElement? Without(JsonElement rest, JsonElement not, string at)
    {
        if (not.ValueKind == JsonValueKind.False)
            return rest;
        if (!JsonSchemaKeywords.HasValidation(not))
            throw new UnsatisfiableException($"{at}/not: nothing is allowed here");
        JsonSchemaKeywords.Check(not, $"{at}/not");
        var own = TypesOf(rest);
        var theirs = TypesOf(not);
        var words = JsonSchemaKeywords.WordsOf(not).Where(word => word != "type").ToArray();

        // Other types than it speaks of are not concerned.
        var free = own.Where(type => !theirs.Contains(type) && !(type == "integer" && theirs.Contains("number"))).ToArray();
        if (free.Contains("number") && theirs.Contains("integer"))
            throw new GrammarException($"{at}/not: numbers that are no integers cannot be kept to");
        if (free.Length == own.Length)
            return rest;
        if (words.Length == 0)
            return WithTypes(rest, free, at);
        if (words is ["not"])
            return Alternatives(rest, free, [not.GetProperty("not")], own.Except(free), at);
        if (words.All(ObjectWords.Contains) && own.Contains("object") && theirs.Contains("object"))
            return Alternatives(rest, free, ObjectsBeside(rest, not, at), ["object"], at);
        if (words is ["enum"] or ["const"] && rest.TryGetProperty("enum", out var candidates) && !rest.TryGetProperty("const", out _))
        {
            var left = candidates.EnumerateArray().Where(value => !Constants(not)!.Any(other => JsonElement.DeepEquals(value, other)) || !theirs.Contains(JsonSchemaMerge.TypeOf(value))).ToArray();
            return left.Length == 0 ? throw new UnsatisfiableException($"{at}: none of the constants is allowed") : JsonSchemaMerge.Merge(JsonSchemaMerge.Without(rest, "enum"), JsonSchemaMerge.Made(new() { ["enum"] = JsonSerializer.SerializeToElement(left) }), at);
        }

        if (LanguagesOf(not).Count > 0)
        {
            var concerned = own.Except(free).ToArray();
            if (concerned is ["string"] && free.Length == 0)
                return null;
            if (words.All(StringWords.Contains) || concerned is ["string"])
                return Alternatives(rest, free, concerned.Contains("string") ? [Of(Typed(not, ["string"]))] : [], ["string"], at);
        }

        throw new GrammarException($"{at}/not: cannot be kept to");
    }

    // Objects that miss a property which is required, have one that is not as it should be, or one too much.
    private static IEnumerable<JsonElement> ObjectsBeside(JsonElement rest, JsonElement not, string at)
    {
        var named = not.TryGetProperty("properties", out var properties) ? properties.EnumerateObject().DistinctBy(property => property.Name).ToDictionary(property => property.Name, property => property.Value) : [];
        if (not.TryGetProperty("additionalProperties", out var additional) && additional.ValueKind != JsonValueKind.True)
        {
            // One too much can only be one that is named where no others are allowed.
            if (additional.ValueKind != JsonValueKind.False || !rest.TryGetProperty("additionalProperties", out var own) || own.ValueKind != JsonValueKind.False || rest.TryGetProperty("patternProperties", out _))
                throw new GrammarException($"{at}/not: cannot be kept to");
            foreach (var name in rest.TryGetProperty("properties", out var ownProperties) ? ownProperties.EnumerateObject().Select(property => property.Name) : [])
            {
                if (!named.ContainsKey(name))
                    yield return Required(name);
            }
        }

        foreach (var name in not.TryGetProperty("required", out var required) ? required.EnumerateArray().Select(name => name.GetString()!) : [])
            yield return JsonSchemaMerge.Made(new() { ["properties"] = JsonSchemaMerge.Made(new() { [name] = JsonSerializer.SerializeToElement(false) }) });
        foreach (var (name, value) in named)
        {
            if (value.ValueKind == JsonValueKind.True || (value.ValueKind == JsonValueKind.Object && !JsonSchemaKeywords.HasValidation(value)))
                continue;
            yield return JsonSchemaMerge.Merge(Required(name), JsonSchemaMerge.Made(new() { ["properties"] = JsonSchemaMerge.Made(new() { [name] = Of(value) }) }), at);
        }
    }

    private static JsonElement Required(string name) => JsonSchemaMerge.Made(new() { ["required"] = JsonSerializer.SerializeToElement(new[] { name }) });

    private static JsonElement Alternatives(JsonElement rest, string[] free, IEnumerable<JsonElement> others, IEnumerable<string> concerned, string at)
    {
        var types = concerned.Intersect(TypesOf(rest)).ToArray();
        var alternatives = others.Select(other => JsonSchemaMerge.Merge(Typed(default, types), other, at)).ToList();
        if (free.Length > 0)
            alternatives.Add(Typed(default, free));
        if (alternatives.Count > MaxAlternatives)
            throw new GrammarException($"{at}/not: makes more than {MaxAlternatives} alternatives");
        return alternatives.Count switch
        {
            0 => throw new UnsatisfiableException($"{at}/not: nothing is allowed here"),
            1 => JsonSchemaMerge.Merge(rest, alternatives[0], at),
            _ => JsonSchemaMerge.Merge(rest, JsonSchemaMerge.All([AnyOf(alternatives)]), at),
        };
    }

    private static JsonElement AnyOf(IEnumerable<JsonElement> schemas) => JsonSchemaMerge.Made(new() { ["anyOf"] = JsonSerializer.SerializeToElement(schemas) });

    private static JsonElement Typed(JsonElement schema, string[] types)
    {
        var typed = JsonSchemaMerge.Made(new() { ["type"] = JsonSerializer.SerializeToElement(types) });
        return schema.ValueKind == JsonValueKind.Object ? JsonSchemaMerge.Merge(JsonSchemaMerge.Without(schema, "type"), typed, "#") : typed;
    }

    private static JsonElement WithTypes(JsonElement rest, string[] types, string at) => types.Length == 0
        ? throw new UnsatisfiableException($"{at}: no type is left")
        : JsonSchemaMerge.Merge(JsonSchemaMerge.Without(rest, "type"), Typed(default, types), at);

    private static IReadOnlyList<StringLanguages.Language> LanguagesOf(JsonElement not)
    {
        var languages = new List<StringLanguages.Language>();
        if (not.ValueKind != JsonValueKind.Object || JsonSchemaKeywords.WordsOf(not).Any(word => word is not ("type" or "enum" or "const") && !StringWords.Contains(word)))
            return languages;
        if (not.TryGetProperty("pattern", out var pattern))
            languages.Add((nodes, text) => new RegexGrammar(nodes, text.Character).Search(pattern.GetString()!));
        var (least, most) = (not.TryGetProperty("minLength", out var low) ? low.GetInt32() : 0, not.TryGetProperty("maxLength", out var high) ? high.GetInt32() : (int?)null);
        if (least > 0 || most is not null)
            languages.Add(StringLanguages.OfLength(least, most));
        if (Constants(not)?.Where(value => value.ValueKind == JsonValueKind.String).Select(value => value.GetString()!).ToArray() is { Length: > 0 } strings)
            languages.Add((nodes, text) => nodes.Either([.. strings.Select(text.Characters)]));
        return languages;
    }

    private static string[] TypesOf(JsonElement schema) => !schema.TryGetProperty("type", out var type)
        ? Constants(schema) is { } values ? [.. values.Select(JsonSchemaMerge.TypeOf).Distinct()] : AllTypes
        : type.ValueKind == JsonValueKind.Array ? [.. type.EnumerateArray().Select(name => name.GetString()!)] : [type.GetString()!];

    private static JsonElement[]? Constants(JsonElement schema) =>
        schema.TryGetProperty("const", out var constant) ? [constant] : schema.TryGetProperty("enum", out var values) && values.ValueKind == JsonValueKind.Array ? [.. values.EnumerateArray()] : null;
}
