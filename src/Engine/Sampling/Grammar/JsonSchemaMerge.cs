using System.Text.Json;

namespace LocalLlm.Sampling.Grammar;

/// <summary>Two schemas that must both hold as one, and whether several can never hold together.</summary>
internal static class JsonSchemaMerge
{
    private static readonly string[] Largest = ["minimum", "minLength", "minItems", "minProperties"];
    private static readonly string[] Smallest = ["maximum", "maxLength", "maxItems", "maxProperties"];

    private const int MostAlternatives = 500;
    private const int MostComparisons = 1_000_000;
    private static readonly JsonSerializerOptions Deep = new() { MaxDepth = 1000 };

    /// <summary>A schema of these words.</summary>
    public static JsonElement Made(Dictionary<string, JsonElement> words) => JsonSerializer.SerializeToElement(words, Deep);

    /// <summary>A schema that holds where all of these do.</summary>
    public static JsonElement All(JsonElement[] schemas) => JsonSerializer.SerializeToElement(new Dictionary<string, JsonElement[]> { ["allOf"] = schemas }, Deep);

    /// <summary>A schema without one of its words.</summary>
    public static JsonElement Without(JsonElement schema, string keyword) =>
        JsonSerializer.SerializeToElement(schema.EnumerateObject().Where(property => property.Name != keyword).DistinctBy(property => property.Name).ToDictionary(property => property.Name, property => property.Value), Deep);

    /// <summary>What both say.</summary>
    /// <exception cref="GrammarException">That is no single schema that can be kept to.</exception>
    public static JsonElement Merge(JsonElement a, JsonElement b, string at)
    {
        if (b.ValueKind == JsonValueKind.True)
            return a;
        if (a.ValueKind != JsonValueKind.Object || b.ValueKind != JsonValueKind.Object)
            throw new GrammarException($"{at}: nothing is allowed here");
        JsonSchemaKeywords.Check(a, at);
        JsonSchemaKeywords.Check(b, at);
        CheckAdditional(a, b, at);
        CheckAdditional(b, a, at);
        var merged = a.EnumerateObject().DistinctBy(property => property.Name).ToDictionary(property => property.Name, property => property.Value);
        foreach (var property in b.EnumerateObject())
            merged[property.Name] = merged.TryGetValue(property.Name, out var first) ? Merge(property.Name, first, property.Value, at) : property.Value;
        return JsonSerializer.SerializeToElement(merged, Deep);
    }

    /// <summary>For each schema the others that might hold beside it.</summary>
    public static int[][] Overlaps(JsonElement[] schemas, string at)
    {
        if (schemas.Length > MostAlternatives)
            throw new GrammarException($"{at}: {schemas.Length} alternatives; at most {MostAlternatives}");
        foreach (var schema in schemas)
        {
            if (schema.ValueKind == JsonValueKind.Object)
                JsonSchemaKeywords.Check(schema, at);
        }

        return [.. schemas.Select((own, i) => Enumerable.Range(0, schemas.Length).Where(j => j != i && !AreDisjoint(own, schemas[j])).ToArray())];
    }

    /// <summary>The type of a value; numbers are <c>number</c>.</summary>
    public static string TypeOf(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Object => "object",
        JsonValueKind.Array => "array",
        JsonValueKind.String => "string",
        JsonValueKind.Number => "number",
        JsonValueKind.True or JsonValueKind.False => "boolean",
        _ => "null",
    };

    /// <summary>Whether a number has no fraction.</summary>
    public static bool IsInteger(JsonElement value) =>
        value.ValueKind == JsonValueKind.Number && !value.GetRawText().AsSpan().ContainsAny('e', 'E') && (value.GetRawText().Split('.') is [_] || value.GetRawText().Split('.')[1].All(digit => digit == '0'));

    private static JsonElement Merge(string keyword, JsonElement a, JsonElement b, string at)
    {
        if (JsonElement.DeepEquals(a, b))
            return a;
        if (Array.IndexOf(Largest, keyword) >= 0)
            return a.GetDouble() >= b.GetDouble() ? a : b;
        if (Array.IndexOf(Smallest, keyword) >= 0)
            return a.GetDouble() <= b.GetDouble() ? a : b;
        switch (keyword)
        {
            case "type":
                var types = TypesOf(a).SelectMany(x => TypesOf(b).Select(y => x == y ? x : (x, y) is ("integer", "number") or ("number", "integer") ? "integer" : null)).OfType<string>().Distinct().ToArray();
                return types.Length == 0 ? throw new GrammarException($"{at}/type: no type is left") : JsonSerializer.SerializeToElement(types);
            case "required":
                return JsonSerializer.SerializeToElement(a.EnumerateArray().Concat(b.EnumerateArray()).Select(name => name.GetString()).Distinct());
            case "enum":
                if ((long)a.GetArrayLength() * b.GetArrayLength() > MostComparisons)
                    throw new GrammarException($"{at}/enum: two of them are too large to be compared");
                return JsonSerializer.SerializeToElement(a.EnumerateArray().Where(value => b.EnumerateArray().Any(other => JsonElement.DeepEquals(value, other))), Deep);
            case "not":
                return Made(new() { ["anyOf"] = JsonSerializer.SerializeToElement(new[] { a, b }, Deep) });
            case "properties" or "patternProperties":
                var properties = a.EnumerateObject().DistinctBy(property => property.Name).ToDictionary(property => property.Name, property => property.Value);
                foreach (var property in b.EnumerateObject())
                    properties[property.Name] = properties.TryGetValue(property.Name, out var first) ? Both(first, property.Value) : property.Value;
                return JsonSerializer.SerializeToElement(properties, Deep);
            case "items":
                return Both(a, b);
            case "additionalProperties":
                return a.ValueKind == JsonValueKind.False || b.ValueKind == JsonValueKind.True ? a : b.ValueKind == JsonValueKind.False || a.ValueKind == JsonValueKind.True ? b : Both(a, b);
            case var word when JsonSchemaKeywords.IsValidation(word):
                throw new GrammarException($"{at}/{keyword}: two of them cannot be kept to at once");
            default:
                return a;
        }
    }

    private static JsonElement Both(JsonElement a, JsonElement b) =>
        JsonElement.DeepEquals(a, b) || b.ValueKind == JsonValueKind.True ? a : a.ValueKind == JsonValueKind.True ? b : JsonSerializer.SerializeToElement(new Dictionary<string, JsonElement[]> { ["allOf"] = [a, b] }, Deep);

    // additionalProperties means the properties that its own schema does not name: those of the other must be among them.
    private static void CheckAdditional(JsonElement own, JsonElement other, string at)
    {
        if (!own.TryGetProperty("additionalProperties", out var additional) || additional.ValueKind == JsonValueKind.True)
            return;
        if (other.TryGetProperty("patternProperties", out _) && !other.TryGetProperty("additionalProperties", out _))
            throw new GrammarException($"{at}/additionalProperties: cannot be kept to beside patternProperties of another schema");
        if (other.TryGetProperty("patternProperties", out var patterns) && own.TryGetProperty("patternProperties", out var ownPatterns) && !JsonElement.DeepEquals(patterns, ownPatterns))
            throw new GrammarException($"{at}/additionalProperties: cannot be kept to beside patternProperties of another schema");
        if (!other.TryGetProperty("properties", out var theirs))
            return;
        var known = own.TryGetProperty("properties", out var mine) ? mine.EnumerateObject().Select(property => property.Name).ToHashSet() : [];
        foreach (var property in theirs.EnumerateObject())
        {
            if (!known.Contains(property.Name))
                throw new GrammarException($"{at}/additionalProperties: cannot be kept to beside the property '{property.Name}' of another schema");
        }
    }

    private static string[] TypesOf(JsonElement type) => type.ValueKind == JsonValueKind.Array ? [.. type.EnumerateArray().Select(name => name.GetString() ?? "")] : [type.GetString() ?? ""];

    private static bool AreDisjoint(JsonElement a, JsonElement b)
    {
        if (a.ValueKind != JsonValueKind.Object || b.ValueKind != JsonValueKind.Object)
            return false;
        if (Types(a) is { } first && Types(b) is { } second && !first.Overlaps(second))
            return true;
        if (Values(a) is { } some && Values(b) is { } others && !some.Any(value => others.Any(other => JsonElement.DeepEquals(value, other))))
            return true;
        return OnlyObjects(a) && OnlyObjects(b) && (TellApart(a, b) || TellApart(b, a));
    }

    private static bool OnlyObjects(JsonElement schema) => Types(schema) is { Count: 1 } types && types.Contains("object");

    // A property that one requires and the other forbids, or that both require with different constants.
    private static bool TellApart(JsonElement a, JsonElement b)
    {
        if (!a.TryGetProperty("required", out var required) || required.ValueKind != JsonValueKind.Array)
            return false;
        foreach (var name in required.EnumerateArray().Select(item => item.GetString()!))
        {
            var theirs = b.TryGetProperty("properties", out var properties) && properties.TryGetProperty(name, out var property) ? property : (JsonElement?)null;
            if (theirs is null && b.TryGetProperty("additionalProperties", out var additional) && additional.ValueKind == JsonValueKind.False)
                return true;
            if (theirs is { } other && a.TryGetProperty("properties", out var own) && own.TryGetProperty(name, out var mine) && mine.ValueKind == JsonValueKind.Object && other.ValueKind == JsonValueKind.Object
                && b.TryGetProperty("required", out var also) && also.EnumerateArray().Any(item => item.GetString() == name) && AreDisjoint(mine, other))
                return true;
        }

        return false;
    }

    private static HashSet<string>? Types(JsonElement schema)
    {
        if (!schema.TryGetProperty("type", out var type))
            return Values(schema)?.Select(TypeOf).ToHashSet();
        return [.. TypesOf(type).Select(name => name == "integer" ? "number" : name)];
    }

    private static JsonElement[]? Values(JsonElement schema) =>
        schema.TryGetProperty("const", out var constant) ? [constant] : schema.TryGetProperty("enum", out var values) && values.ValueKind == JsonValueKind.Array ? [.. values.EnumerateArray()] : null;
}
