using System.Text.Json;

namespace LocalLlm.Grammars;

/// <summary>Negates a schema: it does not hold if one of its keywords does not.</summary>
/// <param name="references">Resolves references.</param>
/// <param name="overlap">Decides which schemas exclude each other.</param>
/// <param name="budget">Pays for the work.</param>
internal sealed class SchemaNegation(SchemaReferences references, SchemaOverlap overlap, SchemaBudget budget)
{
    private readonly Dictionary<string, Func<string, bool>> _matchers = new(StringComparer.Ordinal);

    /// <summary>The ways in which a schema does not hold; none: it always holds.</summary>
    /// <param name="schema">The schema.</param>
    /// <param name="at">Its JSON pointer.</param>
    /// <param name="known">What else holds.</param>
    /// <exception cref="GrammarException">The negation cannot be enforced.</exception>
    public IEnumerable<SchemaPart[]> Of(JsonElement schema, string at, SchemaKnown known)
    {
        switch (schema.ValueKind)
        {
            case JsonValueKind.True:
                return [];
            case JsonValueKind.False:
                return [[]];
            case JsonValueKind.Object:
                SchemaWords.Check(schema, at);
                var words = references.StandAlone && schema.TryGetProperty("$ref", out _) ? ["$ref"] : SchemaWords.Of(schema).ToArray();
                return words.SelectMany(word => OfWord(schema, at, word, known)).ToList();
            default:
                throw new GrammarException($"{at}: a schema must be an object, true or false, found {schema.ValueKind}");
        }
    }

    private IEnumerable<SchemaPart[]> OfWord(JsonElement schema, string at, string word, SchemaKnown known)
    {
        var value = schema.GetProperty(word);
        switch (word)
        {
            case "$ref":
                var (target, place) = references.Target(value, at);
                return [[SchemaPart.Fails(target, place)]];
            case "not":
                return [[SchemaPart.Holds(value, $"{at}/not")]];
            case "allOf":
                return SchemaWords.Items(schema, at, word).Select(item => (SchemaPart[])[SchemaPart.Fails(item.Schema, item.At)]);
            case "anyOf":
                return [[.. SchemaWords.Items(schema, at, word).Select(item => SchemaPart.Fails(item.Schema, item.At))]];
            case "oneOf":
                return NotOne([.. SchemaWords.Items(schema, at, word)]);
            case "if":
                return Conditional(schema, at);
            case "type":
                return [[SchemaPart.Of(SchemaTypes.All & ~SchemaShape.TypesOf(schema, at))]];
            case "required":
                return value.EnumerateArray().Select(name => (SchemaPart[])[SchemaPart.Lacks(name.GetString()!)]);
            case "properties":
                return value.EnumerateObject().Where(property => !SchemaWords.SaysNothing(property.Value))
                    .Select(property => (SchemaPart[])[SchemaPart.Has(property.Name), SchemaPart.Spoils(property.Name, property.Value, $"{at}/properties/{SchemaWords.Escaped(property.Name)}")]);
            case "patternProperties" when known.Named is { } names:
                return names.SelectMany(name => value.EnumerateObject().Where(pattern => !SchemaWords.SaysNothing(pattern.Value) && Matches(pattern.Name, name, $"{at}/patternProperties"))
                    .Select(pattern => (SchemaPart[])[SchemaPart.Has(name), SchemaPart.Spoils(name, pattern.Value, $"{at}/patternProperties/{SchemaWords.Escaped(pattern.Name)}")]));
            case "patternProperties":
                return value.EnumerateObject().Where(pattern => !SchemaWords.SaysNothing(pattern.Value)).Select(pattern => (SchemaPart[])[SchemaPart.Breaks(schema, at, $"{word}/{pattern.Name}")]);
            case "additionalProperties" when SchemaWords.SaysNothing(value):
                return [];
            case "additionalProperties" when known.Named is { } names:
                return names.Where(name => !IsNamed(schema, name, at)).Select(name => (SchemaPart[])[SchemaPart.Has(name), SchemaPart.Spoils(name, value, $"{at}/additionalProperties")]);
            case "propertyNames" when SchemaWords.SaysNothing(value):
                return [];
            case "additionalProperties" or "propertyNames":
                return [[SchemaPart.Breaks(schema, at, word)]];
            case "dependencies" or "dependentRequired" or "dependentSchemas":
                return Dependencies(schema, at, word);
            case "items" when SchemaWords.SaysNothing(value):
            case "uniqueItems" when value.ValueKind == JsonValueKind.False:
            case "exclusiveMinimum" or "exclusiveMaximum" when value.ValueKind is JsonValueKind.True or JsonValueKind.False:
            case "then" or "else" or "minContains" or "maxContains":
            case "additionalItems" when !schema.TryGetProperty("items", out var items) || items.ValueKind != JsonValueKind.Array:
            case "format" when value.ValueKind != JsonValueKind.String || JsonSchemaFormats.Find(value.GetString()!, $"{at}/format") is null:
                return [];
            case "enum" when value.ValueKind == JsonValueKind.Array:
                return [[SchemaPart.Not(schema, at, word), .. value.EnumerateArray().SelectMany((constant, i) => Composite(constant, $"{at}/enum/{i}"))]];
            case "const":
                return [[SchemaPart.Not(schema, at, word), .. Composite(value, $"{at}/const")]];
            case "prefixItems":
            case "items" when value.ValueKind == JsonValueKind.Array:
                return SchemaWords.Items(schema, at, word).Where(item => !SchemaWords.SaysNothing(item.Schema)).Select((item, _) => (SchemaPart[])[FailsAt(item.Schema, item.At)]);
            case "minimum" or "maximum" or "exclusiveMinimum" or "exclusiveMaximum" or "multipleOf" or "minLength" or "maxLength" or "pattern" or "format" or "minItems" or "maxItems" or "minProperties"
                or "maxProperties":
                return [[SchemaPart.Not(schema, at, word)]];
            case "items" when !schema.TryGetProperty("prefixItems", out _):
            case "contains" when !schema.TryGetProperty("minContains", out _) && !schema.TryGetProperty("maxContains", out _):
                return [[SchemaPart.Not(schema, at, word)]];
            default:
                throw new GrammarException($"{at}/{word}: cannot be enforced inside 'not', or together with another 'oneOf' alternative that may also hold");
        }
    }

    // Turns an array or object constant into a schema of its own, which must not hold; its parts are then negated one by one.
    private static IEnumerable<SchemaPart> Composite(JsonElement value, string at)
    {
        if (value.ValueKind is JsonValueKind.Array or JsonValueKind.Object)
            yield return SchemaPart.Fails(JsonSerializer.SerializeToElement(Equal(value)), $"{at}#");
    }

    private static Dictionary<string, object> Equal(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Array when value.GetArrayLength() == 0 => new() { ["type"] = "array", ["maxItems"] = 0 },
        JsonValueKind.Array => new() { ["type"] = "array", ["minItems"] = value.GetArrayLength(), ["maxItems"] = value.GetArrayLength(), ["prefixItems"] = value.EnumerateArray().Select(Equal).ToArray() },
        JsonValueKind.Object => new()
        {
            ["type"] = "object",
            ["properties"] = value.EnumerateObject().ToDictionary(property => property.Name, property => Equal(property.Value)),
            ["required"] = value.EnumerateObject().Select(property => property.Name).ToArray(),
            ["additionalProperties"] = false,
        },
        _ => new() { ["const"] = value },
    };

    // The item at a position is present and does not satisfy its schema.
    private static SchemaPart FailsAt(JsonElement item, string at)
    {
        var index = int.Parse(at.AsSpan(at.LastIndexOf('/') + 1), System.Globalization.CultureInfo.InvariantCulture);
        object[] places = [.. Enumerable.Repeat<object>(true, index), new Dictionary<string, object> { ["not"] = item }];
        return SchemaPart.Holds(JsonSerializer.SerializeToElement(new Dictionary<string, object> { ["type"] = "array", ["minItems"] = index + 1, ["prefixItems"] = places }), $"{at}#");
    }

    private IEnumerable<SchemaPart[]> NotOne((JsonElement Schema, string At)[] items)
    {
        yield return [.. items.Select(item => SchemaPart.Fails(item.Schema, item.At))];
        var overlaps = overlap.Of(items);
        for (var i = 0; i < items.Length; i++)
        {
            foreach (var j in overlaps[i].Where(j => j > i))
                yield return [SchemaPart.Holds(items[i].Schema, items[i].At), SchemaPart.Holds(items[j].Schema, items[j].At)];
        }
    }

    private static IEnumerable<SchemaPart[]> Conditional(JsonElement schema, string at)
    {
        var condition = schema.GetProperty("if");
        if (schema.TryGetProperty("then", out var then))
            yield return [SchemaPart.Holds(condition, $"{at}/if"), SchemaPart.Fails(then, $"{at}/then")];
        if (schema.TryGetProperty("else", out var otherwise))
            yield return [SchemaPart.Fails(condition, $"{at}/if"), SchemaPart.Fails(otherwise, $"{at}/else")];
    }

    private static IEnumerable<SchemaPart[]> Dependencies(JsonElement schema, string at, string word)
    {
        foreach (var (name, needed) in word == "dependentSchemas" ? [] : SchemaWords.NeedsOf(schema))
        {
            foreach (var other in needed)
                yield return [SchemaPart.Has(name), SchemaPart.Lacks(other)];
        }

        foreach (var (name, inner, place) in word == "dependentRequired" ? [] : SchemaWords.Dependents(schema, at))
            yield return [SchemaPart.Has(name), SchemaPart.Fails(inner, place)];
    }

    private bool Matches(string pattern, string name, string at)
    {
        budget.TakeParts(1);
        if (!_matchers.TryGetValue(pattern, out var matches))
            _matchers.Add(pattern, matches = SchemaPatterns.Matcher(SchemaPatterns.Language(pattern), at, budget));
        return matches(name);
    }

    private bool IsNamed(JsonElement schema, string name, string at) =>
        (schema.TryGetProperty("properties", out var properties) && properties.TryGetProperty(name, out _))
        || (schema.TryGetProperty("patternProperties", out var patterns) && patterns.EnumerateObject().Any(pattern => Matches(pattern.Name, name, $"{at}/patternProperties")));
}
