using System.Text.Json;

namespace LocalLlm.Grammars;

/// <summary>What is already certain about a value; it rules out alternatives of choices.</summary>
internal sealed class SchemaKnown
{
    private readonly SchemaTypes _types = SchemaTypes.All;
    private readonly HashSet<string> _required = [];
    private readonly HashSet<string> _lacking = [];
    private readonly HashSet<string>? _names; // the only allowed names, if there is such a limit

    private readonly List<(JsonElement Schema, string At)> _schemas = [];
    private readonly SchemaOverlap _overlap;

    /// <param name="plain">Plain parts, all of which hold.</param>
    /// <param name="overlap">Decides which schemas exclude each other.</param>
    public SchemaKnown(IEnumerable<SchemaPart> plain, SchemaOverlap overlap)
    {
        _overlap = overlap;
        foreach (var part in plain)
        {
            _types &= TypesOf(part);
            switch (part.Kind)
            {
                case SchemaPartKind.Has:
                    _required.Add(part.Name);
                    break;
                case SchemaPartKind.Lacks:
                    _lacking.Add(part.Name);
                    break;
                case SchemaPartKind.Plain:
                    _schemas.Add((part.Schema, part.At));
                    if (part.Schema.TryGetProperty("required", out var required))
                        _required.UnionWith(NamesOf(required));
                    var names = part.Schema.TryGetProperty("properties", out var properties) ? properties.EnumerateObject().Where(property => property.Value.ValueKind != JsonValueKind.False).Select(property => property.Name) : [];
                    if (!part.Schema.TryGetProperty("additionalProperties", out var others) || others.ValueKind != JsonValueKind.False || part.Schema.TryGetProperty("patternProperties", out _))
                        break;
                    if (_names is null)
                        _names = [.. names];
                    else
                        _names.IntersectWith(names);
                    break;
            }
        }
    }

    /// <summary>The names that properties can have; null: any.</summary>
    public IEnumerable<string>? Named => (_types & SchemaTypes.Object) == 0 ? [] : _names?.Except(_lacking);

    /// <summary>The alternatives that may hold with what is known, without the parts that are already certain.</summary>
    /// <param name="alternatives">All of them.</param>
    /// <param name="isDecided">One of the alternatives certainly holds.</param>
    public List<SchemaPart[]> Possible(IEnumerable<SchemaPart[]> alternatives, out bool isDecided)
    {
        var possible = new List<SchemaPart[]>();
        var keys = new HashSet<string>();
        isDecided = false;
        foreach (var alternative in alternatives)
        {
            if (!alternative.All(MayHold))
                continue;
            SchemaPart[] news = [.. alternative.Where(part => !MustHold(part))];
            isDecided |= news.Length == 0;
            if (keys.Add(string.Join('\n', news.Select(part => part.Key))))
                possible.Add(news);
        }

        return possible;
    }

    private bool MayHold(SchemaPart part) => (TypesOf(part) & _types) != 0 && part.Kind switch
    {
        SchemaPartKind.Has => !_lacking.Contains(part.Name) && (_names is null || _names.Contains(part.Name)),
        SchemaPartKind.Lacks => !_required.Contains(part.Name),
        SchemaPartKind.Whole => part.IsNegated || !_overlap.IsApart((part.Schema, part.At), _schemas),
        _ => true,
    };

    private bool MustHold(SchemaPart part) => part.Kind switch
    {
        SchemaPartKind.Types => (_types & ~part.Types) == 0,
        SchemaPartKind.Has => _types == SchemaTypes.Object && _required.Contains(part.Name),
        SchemaPartKind.Lacks => _types == SchemaTypes.Object && (_lacking.Contains(part.Name) || (_names is not null && !_names.Contains(part.Name))),
        SchemaPartKind.Whole => part.IsNegated ? _overlap.IsApart((part.Schema, part.At), _schemas) : SchemaWords.SaysNothing(part.Schema),

        // An absent property does not count as broken; another part says that the property is present.
        SchemaPartKind.Property => part.IsNegated && _types == SchemaTypes.Object && _overlap.IsApart((part.Schema, part.At), PropertyOf(part.Name)),
        _ => false,
    };

    private List<(JsonElement Schema, string At)> PropertyOf(string name) =>
        [.. _schemas.SelectMany(part => part.Schema.TryGetProperty("properties", out var properties) && properties.TryGetProperty(name, out var own) ? [(own, $"{part.At}/properties/{SchemaWords.Escaped(name)}")] : ((JsonElement, string)[])[])];

    private static SchemaTypes TypesOf(SchemaPart part) => part.Kind switch
    {
        SchemaPartKind.Types => part.Types,
        SchemaPartKind.Has or SchemaPartKind.Lacks or SchemaPartKind.Property or SchemaPartKind.Some => SchemaTypes.Object,
        SchemaPartKind.Word when part.IsNegated => SchemaShape.ConcernedBy(part.Name),
        SchemaPartKind.Plain => SchemaShape.TypesOf(part.Schema, part.At),
        SchemaPartKind.Whole when !part.IsNegated && part.Schema.ValueKind == JsonValueKind.Object && !part.Schema.TryGetProperty("$ref", out _) => SchemaShape.TypesOf(part.Schema, part.At),
        _ => SchemaTypes.All,
    };

    private static IEnumerable<string> NamesOf(JsonElement names) => names.ValueKind == JsonValueKind.Array ? names.EnumerateArray().Select(name => name.GetString()!) : [];
}
