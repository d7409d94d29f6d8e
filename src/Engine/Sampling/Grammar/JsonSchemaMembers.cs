using System.Text;
using System.Text.Json;

namespace LocalLlm.Sampling.Grammar;

/// <summary>What a schema says of an object's properties.</summary>
/// <param name="schema">The schema.</param>
/// <param name="at">Its place.</param>
/// <param name="isClosed">Whether properties that are not spoken of are forbidden where some are named.</param>
/// <param name="value">Makes the values of a schema.</param>
/// <param name="any">Makes any value.</param>
internal sealed class JsonSchemaMembers(JsonElement schema, string at, bool isClosed, Func<JsonElement, string, Fragment> value, Func<Fragment> any)
{
    private const int MaxPatterns = 16;

    /// <summary>The properties.</summary>
    /// <exception cref="GrammarException">They cannot be kept to.</exception>
    public SchemaObject Read()
    {
        var patterns = schema.TryGetProperty("patternProperties", out var byPattern) ? byPattern.EnumerateObject().DistinctBy(property => property.Name).ToArray() : [];
        if (patterns.Length > MaxPatterns)
            throw new GrammarException($"{at}/patternProperties: {patterns.Length} patterns; at most {MaxPatterns}");
        var matchers = patterns.Select(pattern => Matcher(pattern.Name)).ToArray();
        var named = schema.TryGetProperty("properties", out var known) ? known.EnumerateObject().DistinctBy(property => property.Name).ToDictionary(property => property.Name, property => property.Value) : [];
        var required = schema.TryGetProperty("required", out var names) && names.ValueKind == JsonValueKind.Array ? names.EnumerateArray().Select(name => name.GetString()!).ToHashSet() : [];
        var needs = JsonSchemaKeywords.NeedsOf(schema);
        var properties = new List<SchemaProperty>();

        // Also those that are required or needed and not named: they must be told from others.
        foreach (var name in named.Keys.Concat(required).Concat(needs.Keys).Concat(needs.Values.SelectMany(list => list)).Distinct())
        {
            var schemas = new List<(JsonElement Schema, string At)>();
            if (named.TryGetValue(name, out var own))
                schemas.Add((own, $"{at}/properties/{Escaped(name)}"));
            for (var i = 0; i < patterns.Length; i++)
            {
                if (matchers[i](name))
                    schemas.Add((patterns[i].Value, PlaceOf(patterns[i].Name)));
            }

            properties.Add(new(name, schemas.Count == 0 ? Additional() : () => All(schemas)) { IsRequired = required.Contains(name), Needs = needs.GetValueOrDefault(name) ?? [] });
        }

        return new()
        {
            Properties = properties,
            Patterns = [.. patterns.Select(pattern => pattern.Name)],
            Other = matched => matched == 0 ? Additional() : () => All([.. patterns.Where((_, i) => (matched >> i & 1) != 0).Select(pattern => (pattern.Value, PlaceOf(pattern.Name)))]),
        };
    }

    private Func<Fragment>? Additional() => schema.TryGetProperty("additionalProperties", out var other)
        ? other.ValueKind switch
        {
            JsonValueKind.True => any,
            JsonValueKind.False => null,
            _ => () => value(other, $"{at}/additionalProperties"),
        }
        : isClosed && (schema.TryGetProperty("properties", out _) || schema.TryGetProperty("patternProperties", out _)) ? null : any;

    private Fragment All(List<(JsonElement Schema, string At)> schemas) => schemas.Count == 1
        ? value(schemas[0].Schema, schemas[0].At)
        : value(JsonSchemaMerge.All([.. schemas.Select(part => part.Schema)]), string.Join(" and ", schemas.Select(part => part.At)));

    private Func<string, bool> Matcher(string pattern)
    {
        try
        {
            var nodes = new GrammarNodes(GrammarLimits.Default);
            var automaton = new ByteAutomaton(nodes, nodes.Finish(new RegexGrammar(nodes, ranges => Utf8Ranges.Add(nodes, ranges)).Search(pattern)), GrammarLimits.Default);
            return name => Encoding.UTF8.GetBytes(name).Aggregate(automaton.Start, automaton.Next).IsAccepting;
        }
        catch (GrammarException wrong)
        {
            throw new GrammarException($"{PlaceOf(pattern)}: {wrong.Message}");
        }
    }

    private string PlaceOf(string pattern) => $"{at}/patternProperties/{Escaped(pattern)}";

    private static string Escaped(string name) => name.Replace("~", "~0", StringComparison.Ordinal).Replace("/", "~1", StringComparison.Ordinal);
}
