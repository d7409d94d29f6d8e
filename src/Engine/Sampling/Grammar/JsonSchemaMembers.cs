using System.Text.Json;

namespace LocalLlm.Sampling.Grammar;

/// <summary>What schemas say of an object's properties together.</summary>
/// <param name="shape">What is said of the object.</param>
/// <param name="isClosed">Whether properties that no schema speaks of are forbidden where some are named.</param>
/// <param name="value">Makes the values of which some parts hold.</param>
/// <param name="names">The strings that a schema of names allows: what must hold, and what must not.</param>
/// <param name="budget">What it may take.</param>
internal sealed class JsonSchemaMembers(SchemaShape shape, bool isClosed, Func<IReadOnlyList<SchemaPart>, Fragment> value, Func<JsonElement, string, SchemaNames> names, SchemaBudget budget)
{
    private const int MaxLanguages = 24;
    private const int MaxProperties = 5_000;

    private sealed record Group(Dictionary<string, JsonElement> Named, (string Pattern, JsonElement Schema, int Language)[] Patterns, JsonElement? Others, string At);

    /// <summary>The properties.</summary>
    /// <exception cref="GrammarException">They cannot be kept to.</exception>
    public SchemaObject Read()
    {
        var languages = new List<StringLanguages.Language>();
        var matchers = new List<Func<string, bool>>();
        var known = new Dictionary<string, int>(StringComparer.Ordinal);
        var groups = shape.Members.Select(member => Read(member.Schema, member.At, languages, matchers, known)).ToArray();
        var wanted = new List<(int Language, bool IsWanted)>();
        var allowed = shape.Names.ConvertAll(part => names(part.Schema, part.At));
        foreach (var (language, isWanted) in allowed.SelectMany(part => part.Languages))
        {
            wanted.Add((languages.Count, isWanted));
            languages.Add(language);
            matchers.Add(SchemaPatterns.Matcher(language, shape.Names[0].At, budget));
        }

        if (languages.Count > MaxLanguages)
            throw new GrammarException($"{groups.FirstOrDefault()?.At}/patternProperties: {languages.Count} patterns; at most {MaxLanguages}");
        var isOpen = !isClosed || Array.Exists(groups, group => group.Others is not null) || !Array.Exists(groups, group => group.Named.Count + group.Patterns.Length > 0);
        var required = Required();
        var needs = Needs();
        var properties = new List<SchemaProperty>();

        // Also those that are required, needed or the only ones allowed, and not named: they must be told from others.
        foreach (var name in groups.SelectMany(group => group.Named.Keys).Concat(required).Concat(needs.Keys).Concat(needs.Values.SelectMany(list => list)).Concat(shape.Properties.Select(part => part.Name)).Concat(allowed.SelectMany(part => part.Constants)).Distinct())
        {
            var isIn = matchers.ConvertAll(matches => matches(name)).ToArray();
            var parts = PartsOf(name, isIn);
            budget.TakeParts((parts?.Count ?? 0) + 1);
            properties.Add(new(name, parts is null ? null : () => value(parts)) { ValueKey = parts is null ? null : SchemaPart.KeyOf(parts), IsRequired = required.Contains(name), Needs = needs.GetValueOrDefault(name) ?? [] });
        }

        if (properties.Count > MaxProperties)
            throw new GrammarException($"{groups.FirstOrDefault()?.At}/properties: {properties.Count} properties; at most {MaxProperties}");
        return new()
        {
            Properties = properties,
            Patterns = languages,
            Other = bits => PartsOf(null, [.. Enumerable.Range(0, languages.Count).Select(i => (bits >> i & 1) != 0)]) is { } parts ? () => value(parts) : null,
            OtherKey = languages.Count == 0 && PartsOf(null, []) is { } others ? SchemaPart.KeyOf(others) : null,
            Least = shape.PropertyCount.Least,
            Most = shape.PropertyCount.Most,
        };

        // What the value of a property must be; null: it must be absent. Without a name: of others that are in these languages.
        List<SchemaPart>? PartsOf(string? name, bool[] isIn)
        {
            if (wanted.Exists(part => isIn[part.Language] != part.IsWanted) || shape.Properties.Exists(part => part.Kind == SchemaPartKind.Lacks && part.Name == name))
                return null;
            var parts = new List<SchemaPart>();
            var isSpokenOf = false;
            foreach (var group in groups)
            {
                var before = parts.Count;
                if (name is not null && group.Named.TryGetValue(name, out var own))
                    parts.Add(SchemaPart.Holds(own, $"{group.At}/properties/{SchemaWords.Escaped(name)}"));
                foreach (var (pattern, schema, language) in group.Patterns)
                {
                    if (isIn[language])
                        parts.Add(SchemaPart.Holds(schema, $"{group.At}/patternProperties/{SchemaWords.Escaped(pattern)}"));
                }

                isSpokenOf |= parts.Count > before;
                if (parts.Count == before && group.Others is { } others)
                    parts.Add(SchemaPart.Holds(others, $"{group.At}/additionalProperties"));
            }

            foreach (var part in shape.Properties.Where(part => part.Kind == SchemaPartKind.Property && part.Name == name))
                parts.Add(part with { Kind = SchemaPartKind.Whole, Name = "" });
            return (!isSpokenOf && !isOpen) || parts.Exists(part => !part.IsNegated && part.Schema.ValueKind == JsonValueKind.False) ? null : parts;
        }
    }

    private Group Read(JsonElement schema, string at, List<StringLanguages.Language> languages, List<Func<string, bool>> matchers, Dictionary<string, int> known)
    {
        var named = schema.TryGetProperty("properties", out var properties) ? properties.EnumerateObject().ToDictionary(property => property.Name, property => property.Value, StringComparer.Ordinal) : [];
        var patterns = new List<(string Pattern, JsonElement Schema, int Language)>();
        foreach (var pattern in schema.TryGetProperty("patternProperties", out var byPattern) ? byPattern.EnumerateObject() : default)
        {
            if (!known.TryGetValue(pattern.Name, out var language))
            {
                known.Add(pattern.Name, language = languages.Count);
                languages.Add(SchemaPatterns.Language(pattern.Name));
                matchers.Add(SchemaPatterns.Matcher(languages[^1], $"{at}/patternProperties/{SchemaWords.Escaped(pattern.Name)}", budget));
            }

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

/// <summary>What names of properties must be.</summary>
/// <param name="Languages">Languages that a name must be in, or must not.</param>
/// <param name="Constants">The names that there are, where there are some only; else none.</param>
internal sealed record SchemaNames(IReadOnlyList<(StringLanguages.Language Language, bool IsWanted)> Languages, IReadOnlyList<string> Constants);
