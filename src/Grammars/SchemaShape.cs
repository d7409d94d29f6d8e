using System.Text.Json;
using Language = LocalLlm.Grammars.StringLanguages.Language;

namespace LocalLlm.Grammars;

/// <summary>A condition on how many items of an array are of a kind (<c>contains</c>).</summary>
/// <param name="Item">The kind.</param>
/// <param name="Least">Minimum number of such items.</param>
/// <param name="Most">Maximum number of such items; null: any number.</param>
internal sealed record SchemaDemand(SchemaPart Item, int Least, int? Most);

/// <summary>What plain parts together say about a value, by type.</summary>
internal sealed class SchemaShape
{
    private static readonly Dictionary<string, SchemaTypes> TypeNames = new(StringComparer.Ordinal)
    {
        ["null"] = SchemaTypes.Null, ["boolean"] = SchemaTypes.Boolean, ["integer"] = SchemaTypes.Integer, ["number"] = SchemaTypes.Number, ["string"] = SchemaTypes.String, ["array"] = SchemaTypes.Array, ["object"] = SchemaTypes.Object,
    };

    /// <param name="plain">The parts.</param>
    /// <exception cref="GrammarException">One of them cannot be enforced.</exception>
    public SchemaShape(IEnumerable<SchemaPart> plain)
    {
        foreach (var part in plain)
        {
            switch (part.Kind)
            {
                case SchemaPartKind.Types:
                    Types &= part.Types;
                    break;
                case SchemaPartKind.Plain:
                    Add(part.Schema, part.At);
                    break;
                case SchemaPartKind.Word:
                    Types &= ConcernedBy(part.Name);
                    AddNegated(part.Schema, part.Name, part.At);
                    break;
                default:
                    Types &= SchemaTypes.Object;
                    Properties.Add(part);
                    break;
            }
        }
    }

    /// <summary>The possible types.</summary>
    public SchemaTypes Types { get; private set; } = SchemaTypes.All;

    /// <summary>The only possible values; null: any.</summary>
    public List<JsonElement>? Constants { get; private set; }

    /// <summary>Values that are not allowed.</summary>
    public List<JsonElement> Excluded { get; private set; } = [];

    /// <summary>The conditions on numbers.</summary>
    public NumberRange Numbers { get; } = new();

    /// <summary>Patterns of strings.</summary>
    public List<string> Patterns { get; } = [];

    /// <summary>Strings that are not allowed.</summary>
    public List<Language> ForbiddenStrings { get; } = [];

    /// <summary>The allowed lengths of strings, in characters.</summary>
    public CountRange Length { get; } = new();

    /// <summary>Schemas with conditions on an object's properties.</summary>
    public List<(JsonElement Schema, string At)> Members { get; } = [];

    /// <summary>Conditions on single properties: present, absent, or not satisfying a schema.</summary>
    public List<SchemaPart> Properties { get; } = [];

    /// <summary>The allowed number of properties.</summary>
    public CountRange PropertyCount { get; } = new();

    /// <summary>Conditions on property names.</summary>
    public List<(JsonElement Schema, string At)> Names { get; } = [];

    /// <summary>Schemas with conditions on an array's items.</summary>
    public List<(JsonElement Schema, string At)> Items { get; } = [];

    /// <summary>The allowed number of items.</summary>
    public CountRange ItemCount { get; } = new();

    /// <summary>Items that must be present.</summary>
    public List<SchemaDemand> Demands { get; } = [];

    /// <summary>Conditions on all items.</summary>
    public List<SchemaPart> EveryItem { get; } = [];

    /// <summary>The JSON pointer of the condition that no two items are equal; null: there is none.</summary>
    public string? UniqueAt { get; private set; }

    /// <summary>Whether there are conditions other than types and constants.</summary>
    public bool HasConditions => Numbers.IsLimited || Patterns.Count > 0 || ForbiddenStrings.Count > 0 || Length.IsLimited || Members.Count > 0 || Properties.Count > 0 || PropertyCount.IsLimited || Names.Count > 0 || Items.Count > 0
        || ItemCount.IsLimited || Demands.Count > 0 || EveryItem.Count > 0 || UniqueAt is not null;

    /// <summary>The types that a schema names; all types if it names none.</summary>
    /// <exception cref="GrammarException">A named type does not exist.</exception>
    public static SchemaTypes TypesOf(JsonElement schema, string at)
    {
        if (!schema.TryGetProperty("type", out var type))
            return SchemaTypes.All;
        var types = SchemaTypes.None;
        foreach (var name in type.ValueKind == JsonValueKind.Array ? [.. type.EnumerateArray()] : (JsonElement[])[type])
            types |= name.ValueKind == JsonValueKind.String && TypeNames.TryGetValue(name.GetString()!, out var known) ? known : throw new GrammarException($"{at}/type: {name.GetRawText()} is no type");
        return types;
    }

    /// <summary>The type of a value.</summary>
    public static SchemaTypes TypeOf(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Object => SchemaTypes.Object,
        JsonValueKind.Array => SchemaTypes.Array,
        JsonValueKind.String => SchemaTypes.String,
        JsonValueKind.Number => (SchemaDecimal.TryParse(value.GetRawText(), out var number) ? number.IsWhole : !value.GetRawText().AsSpan().ContainsAny(".eE")) ? SchemaTypes.Integer : SchemaTypes.Fraction,
        JsonValueKind.True or JsonValueKind.False => SchemaTypes.Boolean,
        _ => SchemaTypes.Null,
    };

    /// <summary>The types that a keyword says anything about.</summary>
    public static SchemaTypes ConcernedBy(string word) => word switch
    {
        "minimum" or "maximum" or "exclusiveMinimum" or "exclusiveMaximum" or "multipleOf" => SchemaTypes.Number,
        "minLength" or "maxLength" or "pattern" or "format" => SchemaTypes.String,
        "minItems" or "maxItems" or "items" or "contains" => SchemaTypes.Array,
        "minProperties" or "maxProperties" => SchemaTypes.Object,
        _ => SchemaTypes.All,
    };

    /// <summary>Equal if the conditions on values of a type are equal; null: not known.</summary>
    public string? KeyOf(SchemaTypes type)
    {
        if (Excluded.Count > 0 || Constants is not null)
            return null;
        return type switch
        {
            SchemaTypes.String => ForbiddenStrings.Count > 0 ? null : $"{Length.Least} {Length.Most} {string.Join('\0', Patterns)}",
            SchemaTypes.Number => Numbers.IsSifted ? null : $"{Types & SchemaTypes.Number} {Numbers.Low} {Numbers.High}",
            SchemaTypes.Array => $"{ItemCount.Least} {ItemCount.Most} {UniqueAt is null} {string.Join('\0', Items.Select(items => items.At))}\n{string.Join('\0', EveryItem.Select(item => item.Key))}\n{string.Join('\0', Demands.Select(demand => $"{demand.Item.Key} {demand.Least} {demand.Most}"))}",
            _ => "",
        };
    }

    /// <summary>The same conditions for given values, without constants and excluded values: the caller checks those.</summary>
    public SchemaShape WithoutConstants(IEnumerable<JsonElement> values)
    {
        var other = (SchemaShape)MemberwiseClone();
        other.Constants = null;
        other.Excluded = [];
        other.Types &= values.Aggregate(SchemaTypes.None, (types, value) => types | TypeOf(value));
        return other;
    }

    private void Add(JsonElement schema, string at)
    {
        Types &= TypesOf(schema, at);
        if (schema.TryGetProperty("enum", out var values))
            AddConstants([.. values.EnumerateArray()]);
        if (schema.TryGetProperty("const", out var constant))
            AddConstants([constant]);
        Numbers.Add(schema, at);
        if (schema.TryGetProperty("pattern", out var pattern))
            AddPattern(pattern.GetString()!);
        if (FormatOf(schema, at) is { } format)
            AddPattern(format);
        Length.Add(schema, "minLength", "maxLength", at);
        PropertyCount.Add(schema, "minProperties", "maxProperties", at);
        ItemCount.Add(schema, "minItems", "maxItems", at);
        if (Has(schema, "properties", "patternProperties", "additionalProperties", "required", "dependencies", "dependentRequired"))
            Members.Add((schema, at));
        if (schema.TryGetProperty("propertyNames", out var names) && !SchemaWords.SaysNothing(names))
            Names.Add((names, $"{at}/propertyNames"));
        if (Has(schema, "items", "prefixItems"))
            Items.Add((schema, at));
        if (schema.TryGetProperty("uniqueItems", out var unique) && unique.ValueKind == JsonValueKind.True)
            UniqueAt ??= $"{at}/uniqueItems";
        if (!schema.TryGetProperty("contains", out var contained))
            return;
        var count = new CountRange();
        count.Add(schema, "minContains", "maxContains", at);
        Demands.Add(new(SchemaPart.Holds(contained, $"{at}/contains"), schema.TryGetProperty("minContains", out _) ? count.Least : 1, count.Most));
    }

    private void AddNegated(JsonElement schema, string word, string at)
    {
        var value = schema.GetProperty(word);
        switch (word)
        {
            case "enum":
                Exclude(value.EnumerateArray());
                break;
            case "const":
                Exclude([value]);
                break;
            case "pattern":
                ForbiddenStrings.Add(SchemaPatterns.Language(value.GetString()!));
                break;
            case "format":
                ForbiddenStrings.Add(SchemaPatterns.Language(FormatOf(schema, at)!));
                break;
            case "minLength" or "maxLength":
                Length.AddNegated(schema, word, at);
                break;
            case "minItems" or "maxItems":
                ItemCount.AddNegated(schema, word, at);
                break;
            case "minProperties" or "maxProperties":
                PropertyCount.AddNegated(schema, word, at);
                break;
            case "items":
                Demands.Add(new(SchemaPart.Fails(value, $"{at}/items"), 1, null));
                break;
            case "contains":
                EveryItem.Add(SchemaPart.Fails(value, $"{at}/contains"));
                break;
            default:
                Numbers.AddNegated(schema, word, at);
                break;
        }
    }

    private void AddPattern(string pattern)
    {
        if (!Patterns.Contains(pattern))
            Patterns.Add(pattern);
    }

    private void AddConstants(List<JsonElement> values)
    {
        CheckComparable(Constants?.Count ?? 0, values.Count);
        Constants = Constants is null ? values : [.. Constants.Where(value => values.Exists(other => JsonElement.DeepEquals(value, other)))];
    }

    /// <summary>Refuses lists of constants that are too long to compare one by one.</summary>
    /// <exception cref="GrammarException">The lists are too long.</exception>
    public static void CheckComparable(int count, int otherCount)
    {
        const int MaxComparisons = 1_000_000;
        if ((long)count * otherCount > MaxComparisons)
            throw new GrammarException($"two lists of {count} and {otherCount} constants are too large to be compared");
    }

    private void Exclude(IEnumerable<JsonElement> values)
    {
        var strings = new List<string>();
        foreach (var value in values)
        {
            // Arrays and objects are excluded part by part (SchemaNegation).
            if (value.ValueKind is JsonValueKind.Array or JsonValueKind.Object)
                continue;
            Excluded.Add(value);
            if (value.ValueKind == JsonValueKind.String)
                strings.Add(value.GetString()!);
            if (value.ValueKind == JsonValueKind.Number)
                Numbers.Exclude(value);
            if (value.ValueKind == JsonValueKind.Null)
                Types &= ~SchemaTypes.Null;
        }

        if (strings.Count > 0)
            ForbiddenStrings.Add((nodes, text) => nodes.Either([.. strings.Select(text.Characters)]));
        if (Excluded.Exists(value => value.ValueKind == JsonValueKind.True) && Excluded.Exists(value => value.ValueKind == JsonValueKind.False))
            Types &= ~SchemaTypes.Boolean;
    }

    private static string? FormatOf(JsonElement schema, string at) =>
        schema.TryGetProperty("format", out var named) && named.ValueKind == JsonValueKind.String ? JsonSchemaFormats.Find(named.GetString()!, $"{at}/format") : null;

    private static bool Has(JsonElement schema, params ReadOnlySpan<string> words)
    {
        foreach (var word in words)
        {
            if (schema.TryGetProperty(word, out _))
                return true;
        }

        return false;
    }
}
