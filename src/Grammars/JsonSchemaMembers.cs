using System.Text.Json;

namespace LocalLlm.Grammars;

/// <summary>What schemas together say about an object's properties.</summary>
/// <param name="shape">The conditions on the object.</param>
/// <param name="isClosed">Whether, if some properties are named, properties that no schema mentions are forbidden.</param>
/// <param name="value">Creates the values that satisfy some parts.</param>
/// <param name="names">The strings that a schema of names allows: languages they must be in, and languages they must not be in.</param>
/// <param name="budget">Pays for the work.</param>
internal sealed class JsonSchemaMembers(SchemaShape shape, bool isClosed, Func<IReadOnlyList<SchemaPart>, Fragment> value, Func<JsonElement, string, SchemaNames> names, SchemaBudget budget)
{
    private const int MaxLanguages = 24;
    private const int MaxProperties = 5_000;
    private const int MaxDemands = 4;

    private readonly List<StringLanguages.Language> _languages = [];
    private readonly List<Func<string, bool>> _matchers = [];
    private readonly Dictionary<string, int> _known = new(StringComparer.Ordinal);
    private readonly List<(int Language, bool IsWanted)> _wanted = [];
    private readonly List<Demand> _demands = [];
    private readonly List<string> _demanded = []; // names that demands distinguish from other names
    private Group[] _groups = [];
    private List<SchemaNames> _allowed = [];
    private bool _isOpen;

    private sealed record Group(Dictionary<string, JsonElement> Named, (string Pattern, JsonElement Schema, int Language)[] Patterns, JsonElement? Others, string At);

    /// <summary>The demand that some property is of a kind.</summary>
    /// <param name="IsOfKind">Decides by a property's name (null: a name that is not listed) and the languages that contain the
    /// name.</param>
    /// <param name="Value">What its value must be; null: anything.</param>
    private sealed record Demand(Func<string?, ulong, bool> IsOfKind, SchemaPart? Value);

    /// <summary>Reads the conditions. Call it first, once.</summary>
    /// <returns>The names of the properties that must be distinguished.</returns>
    /// <exception cref="GrammarException">A condition cannot be enforced.</exception>
    public IEnumerable<string> Read()
    {
        _groups = [.. shape.Members.Select(member => Read(member.Schema, member.At))];
        _allowed = shape.Names.ConvertAll(part => names(part.Schema, part.At));
        foreach (var (language, isWanted) in _allowed.SelectMany(part => part.Languages))
            _wanted.Add((Add(language, shape.Names[0].At), isWanted));
        foreach (var part in shape.Properties.Where(part => part.Kind == SchemaPartKind.Some))
            _demands.Add(ReadDemand(part));
        if (_demands.Count > MaxDemands)
            throw new GrammarException($"{shape.Properties[0].At}: more than {MaxDemands} properties of a kind are required");
        if (_languages.Count > MaxLanguages)
            throw new GrammarException($"{_groups.FirstOrDefault()?.At}/patternProperties: {_languages.Count} patterns; at most {MaxLanguages}");
        _isOpen = !isClosed || Array.Exists(_groups, group => group.Others is not null) || !Array.Exists(_groups, group => group.Named.Count + group.Patterns.Length > 0);
        var needs = Needs();

        // Names that are required, needed or the only allowed ones must be distinguished too, even if no schema lists them.
        return _groups.SelectMany(group => group.Named.Keys).Concat(Required()).Concat(needs.Keys).Concat(needs.Values.SelectMany(list => list))
            .Concat(shape.Properties.Where(part => part.Kind != SchemaPartKind.Some).Select(part => part.Name)).Concat(_allowed.SelectMany(part => part.Constants)).Concat(_demanded);
    }

    /// <summary>The properties.</summary>
    /// <param name="all">The names that are distinguished: those of <see cref="Read()"/>, and perhaps more.</param>
    /// <exception cref="GrammarException">A condition cannot be enforced.</exception>
    public SchemaObject Make(IReadOnlyList<string> all)
    {
        if (all.Count > MaxProperties)
            throw new GrammarException($"{_groups.FirstOrDefault()?.At}/properties: {all.Count} properties; at most {MaxProperties}");
        var (required, needs) = (Required(), Needs());
        var properties = new List<SchemaProperty>();
        foreach (var name in all)
        {
            var isIn = 0UL;
            for (var i = 0; i < _matchers.Count; i++)
                isIn |= _matchers[i](name) ? 1UL << i : 0;
            var options = Options(name, isIn);
            budget.TakeParts(options.Count + 1);
            properties.Add(new(name, options) { IsRequired = required.Contains(name), Needs = needs.GetValueOrDefault(name) ?? [] });
        }

        return new()
        {
            Properties = properties,
            Patterns = _languages,
            Others = bits => Options(null, bits),
            OthersKey = _languages.Count == 0 ? string.Join('\n', Options(null, 0).Select(option => $"{option.Met} {option.Key}")) : null,
            DemandCount = _demands.Count,
            Least = shape.PropertyCount.Least,
            Most = shape.PropertyCount.Most,
        };
    }

    // The possible values of a property, for each set of demands that they can meet.
    private List<SchemaMember> Options(string? name, ulong isIn)
    {
        if (PartsOf(name, isIn) is not { } parts)
            return [];
        var options = new List<SchemaMember>();
        var (free, some) = (0, 0);
        for (var i = 0; i < _demands.Count; i++)
        {
            if (!_demands[i].IsOfKind(name, isIn))
                continue;
            if (_demands[i].Value is null)
                free |= 1 << i;
            else
                some |= 1 << i;
        }

        for (var met = some; ; met = (met - 1) & some)
        {
            SchemaPart[] all = [.. parts, .. _demands.Where((_, i) => (met >> i & 1) != 0).Select(demand => demand.Value!)];
            options.Add(new(() => value(all), SchemaPart.KeyOf(all), met | free));
            if (met == 0)
                return options;
        }
    }

    // What the value of a property must be; null: the property must be absent. A null name stands for other names, in these languages.
    private List<SchemaPart>? PartsOf(string? name, ulong isIn)
    {
        if (_wanted.Exists(part => (isIn >> part.Language & 1) != 0 != part.IsWanted) || shape.Properties.Exists(part => part.Kind == SchemaPartKind.Lacks && part.Name == name))
            return null;
        var parts = new List<SchemaPart>();
        var isSpokenOf = false;
        foreach (var group in _groups)
        {
            var before = parts.Count;
            if (name is not null && group.Named.TryGetValue(name, out var own))
                parts.Add(SchemaPart.Holds(own, $"{group.At}/properties/{SchemaWords.Escaped(name)}"));
            foreach (var (pattern, schema, language) in group.Patterns)
            {
                if ((isIn >> language & 1) != 0)
                    parts.Add(SchemaPart.Holds(schema, $"{group.At}/patternProperties/{SchemaWords.Escaped(pattern)}"));
            }

            isSpokenOf |= parts.Count > before;
            if (parts.Count == before && group.Others is { } others)
                parts.Add(SchemaPart.Holds(others, $"{group.At}/additionalProperties"));
        }

        foreach (var part in shape.Properties.Where(part => part.Kind == SchemaPartKind.Property && part.Name == name))
            parts.Add(part with { Kind = SchemaPartKind.Whole, Name = "" });
        return (!isSpokenOf && !_isOpen) || parts.Exists(part => !part.IsNegated && part.Schema.ValueKind == JsonValueKind.False) ? null : parts;
    }

    private Demand ReadDemand(SchemaPart part)
    {
        var (schema, at) = (part.Schema, part.At);
        if (part.Name == "propertyNames")
        {
            var own = names(schema.GetProperty(part.Name), $"{at}/propertyNames").Languages.Select(pair => (Language: Add(pair.Language, $"{at}/propertyNames"), pair.IsWanted)).ToArray();
            return new((_, isIn) => Array.Exists(own, pair => (isIn >> pair.Language & 1) != 0 != pair.IsWanted), null);
        }

        var group = Read(schema, at);
        _demanded.AddRange(group.Named.Keys);
        if (part.Name == "additionalProperties")
            return new((name, isIn) => (name is null || !group.Named.ContainsKey(name)) && !Array.Exists(group.Patterns, pattern => (isIn >> pattern.Language & 1) != 0), Fails(group.Others!.Value, $"{at}/additionalProperties"));
        var broken = Array.Find(group.Patterns, pattern => part.Name == $"patternProperties/{pattern.Pattern}");
        return new((_, isIn) => (isIn >> broken.Language & 1) != 0, Fails(broken.Schema, $"{at}/patternProperties/{SchemaWords.Escaped(broken.Pattern)}"));
    }

    private static SchemaPart? Fails(JsonElement schema, string at) => schema.ValueKind == JsonValueKind.False ? null : SchemaPart.Fails(schema, at);

    private int Add(StringLanguages.Language language, string at)
    {
        _languages.Add(language);
        _matchers.Add(SchemaPatterns.Matcher(language, at, budget));
        return _languages.Count - 1;
    }

    private Group Read(JsonElement schema, string at)
    {
        var named = schema.TryGetProperty("properties", out var properties) ? properties.EnumerateObject().ToDictionary(property => property.Name, property => property.Value, StringComparer.Ordinal) : [];
        var patterns = new List<(string Pattern, JsonElement Schema, int Language)>();
        foreach (var pattern in schema.TryGetProperty("patternProperties", out var byPattern) ? byPattern.EnumerateObject() : default)
        {
            if (!_known.TryGetValue(pattern.Name, out var language))
                _known.Add(pattern.Name, language = Add(SchemaPatterns.Language(pattern.Name), $"{at}/patternProperties/{SchemaWords.Escaped(pattern.Name)}"));
            patterns.Add((pattern.Name, pattern.Value, language));
        }

        return new(named, [.. patterns], schema.TryGetProperty("additionalProperties", out var others) ? others : null, at);
    }

    private HashSet<string> Required()
    {
        var required = shape.Properties.Where(part => part.Kind == SchemaPartKind.Has).Select(part => part.Name).ToHashSet(StringComparer.Ordinal);
        foreach (var (schema, _) in shape.Members)
        {
            if (schema.TryGetProperty("required", out var names) && names.ValueKind == JsonValueKind.Array)
                required.UnionWith(names.EnumerateArray().Select(name => name.GetString()!));
        }

        return required;
    }

    private Dictionary<string, string[]> Needs()
    {
        var needs = new Dictionary<string, string[]>(StringComparer.Ordinal);
        foreach (var (name, needed) in shape.Members.SelectMany(member => SchemaWords.NeedsOf(member.Schema)))
            needs[name] = [.. needs.GetValueOrDefault(name, []), .. needed];
        return needs;
    }
}

/// <summary>Conditions on the names of properties.</summary>
/// <param name="Languages">Languages that a name must be in, or must not be in.</param>
/// <param name="Constants">The allowed names if only some are allowed, else empty.</param>
internal sealed record SchemaNames(IReadOnlyList<(StringLanguages.Language Language, bool IsWanted)> Languages, IReadOnlyList<string> Constants);
