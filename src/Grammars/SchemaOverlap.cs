using System.Text.Json;

namespace LocalLlm.Grammars;

/// <summary>Whether schemas can hold together, as far as a quick look at types, constants and distinguishing properties shows.</summary>
/// <param name="references">Resolves references.</param>
/// <param name="budget">Pays for the work.</param>
internal sealed class SchemaOverlap(SchemaReferences references, SchemaBudget budget)
{
    private const int MaxSchemas = 500;
    private const int MaxLevels = 8;
    private const int MaxKinds = 100;
    private const int MaxComparisons = 300;
    private const int MaxValuePairs = 10_000;
    private const int MaxNames = 50;
    private readonly Dictionary<string, int[][]> _overlaps = [];
    private readonly Dictionary<string, List<(JsonElement Schema, string At)>> _kinds = [];
    private int _comparisons; // comparisons left

    /// <summary>For each schema, the other schemas that might hold with it.</summary>
    /// <exception cref="GrammarException">There are too many.</exception>
    public int[][] Of((JsonElement Schema, string At)[] schemas)
    {
        if (schemas.Length > MaxSchemas)
            throw new GrammarException($"{schemas[0].At}: {schemas.Length} alternatives; at most {MaxSchemas}");
        if (_overlaps.TryGetValue(schemas[0].At, out var known))
            return known;
        var kinds = schemas.Select(schema => Kinds(schema.Schema, schema.At)).ToArray();
        return _overlaps[schemas[0].At] = [.. schemas.Select((_, i) => Enumerable.Range(0, schemas.Length).Where(j => j != i && !Compared(kinds[i], kinds[j])).ToArray())];
    }

    /// <summary>Whether a schema can never hold together with other schemas.</summary>
    /// <param name="schema">The schema.</param>
    /// <param name="others">Schemas that hold, with references and <c>allOf</c> expanded or not.</param>
    public bool IsApart((JsonElement Schema, string At) schema, IReadOnlyList<(JsonElement Schema, string At)> others) =>
        others.Count > 0 && Compared(Kinds(schema.Schema, schema.At), [.. others.SelectMany(other => Kinds(other.Schema, other.At))]);

    private bool Compared(List<(JsonElement Schema, string At)> a, List<(JsonElement Schema, string At)> b)
    {
        budget.TakeParts(1);
        _comparisons = MaxComparisons;
        return AreDisjoint(a, b, 0);
    }

    // What holds if the schema holds: the schema itself and the schemas it includes by allOf and references.
    private List<(JsonElement Schema, string At)> Kinds(JsonElement schema, string at)
    {
        if (_kinds.TryGetValue(at, out var known))
            return known;
        var found = new List<(JsonElement Schema, string At)>();
        var seen = new HashSet<string>();
        var open = new Stack<(JsonElement Schema, string At)>([(schema, at)]);
        while (open.TryPop(out var part) && found.Count < MaxKinds)
        {
            if (part.Schema.ValueKind != JsonValueKind.Object || !seen.Add(part.At))
                continue;
            if (part.Schema.TryGetProperty("$ref", out var reference))
            {
                open.Push(references.Target(reference, part.At));
                if (references.StandAlone)
                    continue;
            }

            SchemaWords.Check(part.Schema, part.At);
            found.Add(part);
            foreach (var inner in SchemaWords.Items(part.Schema, part.At, "allOf"))
                open.Push(inner);
        }

        return _kinds[at] = found;
    }

    private bool AreDisjoint(List<(JsonElement Schema, string At)> a, List<(JsonElement Schema, string At)> b, int level)
    {
        if (--_comparisons < 0)
            return false;
        var (first, second) = (TypesOf(a), TypesOf(b));
        if ((first & second) == 0)
            return true;
        if (ValuesOf(a) is { } some && ValuesOf(b) is { } others && (long)some.Count * others.Count <= MaxValuePairs && !some.Any(value => others.Any(other => JsonElement.DeepEquals(value, other))))
            return true;
        return (first & second) == SchemaTypes.Object && (TellApart(a, b, level) || TellApart(b, a, level));
    }

    private static SchemaTypes TypesOf(List<(JsonElement Schema, string At)> schemas)
    {
        var types = SchemaTypes.All;
        foreach (var (schema, at) in schemas)
        {
            types &= SchemaShape.TypesOf(schema, at);
            if (ValuesOf(schema) is { } values)
                types &= values.Aggregate(SchemaTypes.None, (known, value) => known | SchemaShape.TypeOf(value));
        }

        return types;
    }

    // A property that one schema requires and the other forbids, or that both require with values that cannot be equal.
    private bool TellApart(List<(JsonElement Schema, string At)> a, List<(JsonElement Schema, string At)> b, int level)
    {
        var theirs = RequiredBy(b);
        foreach (var name in RequiredBy(a))
        {
            if (b.Exists(other => Forbids(other.Schema, name)))
                return true;
            if (level < MaxLevels && theirs.Contains(name) && AreDisjoint(PropertyOf(a, name), PropertyOf(b, name), level + 1))
                return true;
        }

        return false;
    }

    // The first few suffice to distinguish schemas, and there may be many.
    private static HashSet<string> RequiredBy(List<(JsonElement Schema, string At)> schemas) =>
        [.. schemas.SelectMany(part => part.Schema.TryGetProperty("required", out var required) && required.ValueKind == JsonValueKind.Array ? required.EnumerateArray().Take(MaxNames).Select(name => name.GetString()!) : []).Take(MaxNames)];

    private static bool Forbids(JsonElement schema, string name) =>
        schema.TryGetProperty("properties", out var properties) && properties.TryGetProperty(name, out var own)
            ? own.ValueKind == JsonValueKind.False
            : schema.TryGetProperty("additionalProperties", out var others) && others.ValueKind == JsonValueKind.False && !schema.TryGetProperty("patternProperties", out _);

    private List<(JsonElement Schema, string At)> PropertyOf(List<(JsonElement Schema, string At)> schemas, string name) =>
        [.. schemas.SelectMany(part => part.Schema.TryGetProperty("properties", out var properties) && properties.TryGetProperty(name, out var own) ? Kinds(own, $"{part.At}/properties/{SchemaWords.Escaped(name)}") : [])];

    private static List<JsonElement>? ValuesOf(List<(JsonElement Schema, string At)> schemas)
    {
        foreach (var (schema, _) in schemas)
        {
            if (ValuesOf(schema) is { } values)
                return values;
        }

        return null;
    }

    private static List<JsonElement>? ValuesOf(JsonElement schema) =>
        schema.TryGetProperty("const", out var constant) ? [constant] : schema.TryGetProperty("enum", out var values) && values.ValueKind == JsonValueKind.Array ? [.. values.EnumerateArray()] : null;
}
