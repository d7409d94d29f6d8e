using System.Text;
using System.Text.Json;

namespace LocalLlm.Grammars;

/// <summary>
/// A JSON schema (the keywords of drafts 4 to 2020-12 in <see cref="SchemaWords"/>) as a grammar of its instances. Properties
/// come in any order. What cannot be enforced token by token is refused with its JSON pointer. Keywords that validate nothing are
/// annotations, as in the standard. A rule stands for a set of schemas that must hold or must not hold
/// (<see cref="SchemaPart"/>), so schemas may contain themselves.
/// </summary>
internal sealed class JsonSchemaGrammar
{
    private const int MaxNesting = 100;
    private const int MaxSchemaBytes = 1 << 20;
    private const int MaxDistinct = 64;
    private const int MaxDepth = 1000;
    private const int MaxAlternatives = 1_000;
    private const int MaxMergedNames = 20_000; // names times alternatives

    private static readonly SchemaTypes[] Types = [SchemaTypes.Object, SchemaTypes.Array, SchemaTypes.String, SchemaTypes.Number, SchemaTypes.Boolean, SchemaTypes.Null];

    private readonly GrammarNodes _nodes;
    private readonly JsonGrammar _json;
    private readonly JsonSchemaText _text;
    private readonly SchemaReferences _references;
    private readonly SchemaExpansion _expansion;
    private readonly SchemaAlternatives _alternativesOf;
    private readonly SchemaBudget _budget;
    private readonly bool _isClosed;
    private readonly Dictionary<string, int> _rules = [];
    private readonly Dictionary<string, string> _impossible = [];
    private readonly Dictionary<string, int> _members = [];
    private readonly Dictionary<string, int> _numbers = [];
    private readonly bool _typeFirst;
    private int _nesting;
    private int _alternatives; // of the current value

    private JsonSchemaGrammar(GrammarNodes nodes, SchemaReferences references, bool isClosed, bool typeFirst, SchemaBudget budget)
    {
        _typeFirst = typeFirst;
        _nodes = nodes;
        _references = references;
        _isClosed = isClosed;
        _budget = budget;
        _json = new(nodes);
        _text = new(nodes);
        _expansion = new(references, budget);
        _alternativesOf = new(references, _expansion, budget);
    }

    /// <summary>The grammar of a schema.</summary>
    /// <param name="nodes">The rules.</param>
    /// <param name="schema">The schema.</param>
    /// <param name="isClosed">Whether objects with named properties have no other properties, unless the schema mentions others.</param>
    /// <param name="typeFirst">Whether <c>$type</c> comes before an object's other properties.</param>
    /// <exception cref="GrammarException">
    /// The schema is malformed, contradicts itself, or has an unsupported part; the message begins with the JSON pointer.
    /// </exception>
    public static Fragment Parse(GrammarNodes nodes, JsonElement schema, bool isClosed = false, bool typeFirst = false) => Parse(nodes, schema.GetRawText(), isClosed, typeFirst);

    /// <inheritdoc cref="Parse(GrammarNodes, JsonElement, bool, bool)"/>
    public static Fragment Parse(GrammarNodes nodes, string text, bool isClosed = false, bool typeFirst = false)
    {
        if (text.Length > MaxSchemaBytes)
            throw new GrammarException($"#: the schema is larger than {MaxSchemaBytes} characters");
        try
        {
            // A document of its own: parts of it are read after the caller's is disposed.
            using var document = JsonDocument.Parse(text, new() { MaxDepth = MaxDepth, AllowDuplicateProperties = false });
            var own = SchemaDialect.Trimmed(document.RootElement.Clone());
            return new JsonSchemaGrammar(nodes, new(own), isClosed, typeFirst, new()).Value([SchemaPart.Holds(own, "#")]);
        }
        catch (Exception wrong) when (wrong is InvalidOperationException or ArgumentException or JsonException or OverflowException or FormatException)
        {
            // A duplicate name, a number out of range, a lone surrogate, or a keyword of the wrong kind below a part that is only compared.
            throw new GrammarException($"#: the schema cannot be read: {wrong.Message}");
        }
    }

    private Fragment Value(IReadOnlyList<SchemaPart> parts) => Value(parts, isAlternative: false);

    private Fragment Value(IReadOnlyList<SchemaPart> parts, bool isAlternative)
    {
        var key = SchemaPart.KeyOf(parts);
        if (_impossible.TryGetValue(key, out var reason))
            throw new UnsatisfiableException(reason);
        if (_rules.TryGetValue(key, out var rule))
            return _nodes.Call(rule);
        _rules.Add(key, rule = _nodes.DeclareRule());
        var (alternatives, at) = (_alternatives, parts.FirstOrDefault(part => part.At.Length > 0)?.At ?? "#");
        if (++_nesting > MaxNesting)
            throw new GrammarException($"{at}: schemas are nested deeper than {MaxNesting}");
        if (!isAlternative)
            _alternatives = 0;
        try
        {
            _nodes.DefineRule(rule, Placed(() => Body(parts, at), at));
            return _nodes.Call(rule);
        }
        catch (UnsatisfiableException impossible)
        {
            // Rules that already call this one lead nowhere there.
            _nodes.DefineRule(rule, new(_nodes.Nothing().Start, _nodes.Nothing().Start));
            _impossible.Add(key, impossible.Message);
            throw;
        }
        finally
        {
            _nesting--;
            _alternatives = isAlternative ? _alternatives : alternatives;
        }
    }

    private Fragment Body(IReadOnlyList<SchemaPart> parts, string at)
    {
        var (plain, choices) = _alternativesOf.Expand(parts);
        if (choices.Count == 0)
            return OfShape(new(plain), at);
        var leaves = new Dictionary<string, SchemaShape>();
        if ((choices.Count > 1 || plain.Count > 0) && _alternativesOf.Collect(plain, choices, leaves) && OneBody([.. leaves.Values], at) is { } merged)
            return merged;

        // A text is read in all of these ways at once.
        if ((_alternatives += choices.Min(choice => choice.Alternatives.Count)) > MaxAlternatives)
            throw new GrammarException($"{at}: several choices make more than {MaxAlternatives} combinations that may hold together; tell alternatives apart by a required property with a constant");
        var (chosen, rest) = SchemaAlternatives.Choose(plain, choices);
        return Some(
            [.. chosen.Alternatives.Select<SchemaPart[], Func<Fragment>>(alternative => () => Value([.. alternative, .. rest], isAlternative: true))],
            $"{chosen.Source.At}/{chosen.Source.Name}".TrimEnd('/'),
            "no alternative is possible");
    }

    // Alternatives type by type; if several are objects, they are read as one. Null: they are better kept separate.
    private Fragment? OneBody(List<SchemaShape> shapes, string at)
    {
        if (shapes.Count == 0)
            throw new UnsatisfiableException($"{at}: no alternative is possible");
        if (shapes.Count == 1)
            return OfShape(shapes[0], at);
        var objects = shapes.Where(shape => shape.Constants is null && (shape.Types & SchemaTypes.Object) != 0).ToList();
        if (objects.Count < 2)
            return null;
        var ways = new List<Func<Fragment>>();
        var seen = new HashSet<string>();
        foreach (var shape in shapes)
        {
            if (shape.Constants is not null)
            {
                ways.Add(() => OfShape(shape, at));
                continue;
            }

            foreach (var type in Types.Where(type => (shape.Types & type) != 0 && (type != SchemaTypes.Object || !objects.Contains(shape))))
            {
                if (shape.KeyOf(type) is not { } key || seen.Add($"{type} {key}"))
                    ways.Add(() => OfType(shape, type));
            }
        }

        if (OneObject(objects) is not { } one)
            return null;
        ways.Add(one);
        return Some(ways, at, "no alternative is possible");
    }

    // Creates the objects of several shapes; null: they name too many properties.
    private Func<Fragment>? OneObject(List<SchemaShape> shapes)
    {
        var members = shapes.ConvertAll(shape => new JsonSchemaMembers(shape, _isClosed, Value, Names, _budget));
        var names = members.SelectMany(one => one.Read()).Distinct().ToList();
        if (members.Count > 1 && (long)members.Count * names.Count > MaxMergedNames)
            return null;
        return () => new JsonSchemaObject(_nodes, _json, _budget, _members, members.ConvertAll(one => one.Make(names)), _typeFirst).Make();
    }

    // Any of those fragments that are satisfiable.
    private Fragment Some(List<Func<Fragment>> some, string at, string otherwise)
    {
        var parts = new List<Fragment>();
        foreach (var make in some)
        {
            try
            {
                parts.Add(make());
            }
            catch (UnsatisfiableException) when (some.Count > 1)
            {
            }
        }

        return parts.Count switch { 0 => throw new UnsatisfiableException($"{at}: {otherwise}"), 1 => parts[0], _ => _nodes.Either([.. parts]) };
    }

    private Fragment OfShape(SchemaShape shape, string at)
    {
        if (shape.Constants is { } constants)
            return Allowed(shape, constants) is { Count: > 0 } allowed ? _nodes.Either([.. allowed.Select(Constant)]) : throw new UnsatisfiableException($"{at}: none of the constants is allowed");
        if (shape is { Types: SchemaTypes.All, HasConditions: false, Excluded.Count: 0 })
            return _json.Value();
        return Some([.. Types.Where(type => (shape.Types & type) != 0).Select<SchemaTypes, Func<Fragment>>(type => () => OfType(shape, type))], at, "no type is left");
    }

    // The constants that the other conditions allow: their texts are in the grammar of those conditions.
    private List<JsonElement> Allowed(SchemaShape shape, List<JsonElement> constants)
    {
        SchemaShape.CheckComparable(constants.Count, shape.Excluded.Count);
        var values = constants.Where(value => (shape.Types & SchemaShape.TypeOf(value)) != 0 && !shape.Excluded.Exists(other => JsonElement.DeepEquals(value, other))).ToList();
        if (!shape.HasConditions || values.Count == 0)
            return values;
        var nodes = new GrammarNodes(GrammarLimits.Default);
        try
        {
            var whole = new JsonSchemaGrammar(nodes, _references, _isClosed, _typeFirst, _budget) { _nesting = _nesting }.OfShape(shape.WithoutConstants(values), "#");
            var automaton = new ByteAutomaton(nodes, nodes.Finish(whole), GrammarLimits.Default);
            return [.. values.Where(value => _budget.Accepts(automaton, Encoding.UTF8.GetBytes(Text(value))))];
        }
        catch (UnsatisfiableException)
        {
            return [];
        }
    }

    // As the grammars write it: numbers without exponents, characters unescaped.
    private static string Text(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Number => SchemaDecimal.TryParse(value.GetRawText(), out var number) ? number.ToString() : value.GetRawText(),
        JsonValueKind.String => Quoted(value.GetString()!),
        JsonValueKind.Array => $"[{string.Join(',', value.EnumerateArray().Select(Text))}]",
        JsonValueKind.Object => $"{{{string.Join(',', value.EnumerateObject().Select(property => $"{Quoted(property.Name)}:{Text(property.Value)}"))}}}",
        _ => value.GetRawText(),
    };

    private static string Quoted(string text) => $"\"{Encoding.UTF8.GetString(JsonSchemaText.Written(text))}\"";

    private Fragment Constant(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.String => _text.String(value.GetString()!),
        JsonValueKind.Array => _nodes.Sequence(
            _nodes.Literal("["), _json.Space(), Joined([.. value.EnumerateArray().Select(item => _nodes.Sequence(Constant(item), _json.Space()))]), _nodes.Literal("]")),
        JsonValueKind.Object => new JsonSchemaObject(
            _nodes,
            _json,
            _budget,
            _members,
            [new() { Properties = [.. value.EnumerateObject().Select(property => new SchemaProperty(property.Name, [new(() => Constant(property.Value), null)]) { IsRequired = true })], Others = _ => [] }],
            _typeFirst).Make(),
        // 1.0 is 1.
        JsonValueKind.Number when Text(value) is var plain && plain != value.GetRawText() => _nodes.Either(_nodes.Literal(plain), _nodes.Literal(value.GetRawText())),
        _ => _nodes.Literal(value.GetRawText()),
    };

    private Fragment Joined(List<Fragment> items)
    {
        var parts = new List<Fragment>();
        foreach (var item in items)
        {
            if (parts.Count > 0)
                parts.AddRange([_nodes.Literal(","), _json.Space()]);
            parts.Add(item);
        }

        return _nodes.Sequence([.. parts]);
    }

    private Fragment OfType(SchemaShape shape, SchemaTypes type)
    {
        switch (type)
        {
            case SchemaTypes.Null:
                return _nodes.Literal("null");
            case SchemaTypes.Boolean:
                JsonValueKind[] both = [JsonValueKind.True, JsonValueKind.False];
                return _nodes.Either([.. both.Where(kind => !shape.Excluded.Exists(other => other.ValueKind == kind)).Select(kind => _nodes.Literal(kind == JsonValueKind.True ? "true" : "false"))]);
            case SchemaTypes.String:
                return new JsonSchemaStrings(_nodes, _json, _budget).Make(shape);
            case SchemaTypes.Number:
                return Numbers(shape);
            case SchemaTypes.Array:
                return Array(shape);
            default:
                return OneObject([shape])!();
        }
    }

    // Many numbers have the same bounds.
    private Fragment Numbers(SchemaShape shape)
    {
        var types = shape.Types & SchemaTypes.Number;
        if (types == SchemaTypes.Number && !shape.Numbers.IsLimited)
            return _json.Number();
        if (shape.KeyOf(SchemaTypes.Number) is not { } key)
            return new JsonSchemaNumbers(_nodes, _budget).Make(shape.Numbers, types);
        if (_numbers.TryGetValue(key, out var rule))
            return _nodes.Call(rule);
        var made = new JsonSchemaNumbers(_nodes, _budget).Make(shape.Numbers, types);
        _numbers.Add(key, rule = _nodes.DeclareRule());
        _nodes.DefineRule(rule, made);
        return _nodes.Call(rule);
    }

    // Adds the JSON pointer to an error that has none yet.
    private static Fragment Placed(Func<Fragment> make, string at)
    {
        try
        {
            return make();
        }
        catch (GrammarException wrong) when (!wrong.Message.StartsWith('#'))
        {
            var message = $"{at}: {wrong.Message}";
            throw wrong is UnsatisfiableException ? new UnsatisfiableException(message) : new GrammarException(message);
        }
    }

    private Fragment Array(SchemaShape shape)
    {
        // Without conditions on positions one copy of the item suffices.
        if (!shape.ItemCount.IsLimited && shape.Demands.Count == 0 && shape.UniqueAt is null && shape.Items.TrueForAll(items => !items.Schema.TryGetProperty("prefixItems", out _) && items.Schema.GetProperty("items").ValueKind != JsonValueKind.Array))
        {
            SchemaPart[] item = [.. shape.EveryItem, .. shape.Items.Select(items => SchemaPart.Holds(items.Schema.GetProperty("items"), $"{items.At}/items"))];
            Fragment value;
            try
            {
                value = item.Length == 0 ? _json.Value() : Value(item);
            }
            catch (UnsatisfiableException)
            {
                return _nodes.Sequence(_nodes.Literal("["), _json.Space(), _nodes.Literal("]"));
            }

            return _nodes.Sequence(_nodes.Literal("["), _json.Space(), _json.List(_nodes.Sequence(value, _json.Space())), _nodes.Literal("]"));
        }

        return new JsonSchemaArray(_nodes, _json, shape, Value, parts => Few(parts)?.ConvertAll(Constant)).Make();
    }

    // The values that satisfy some parts; null: they are not known to be few.
    private List<JsonElement>? Few(IReadOnlyList<SchemaPart> parts)
    {
        _budget.TakeBody();
        List<SchemaPart> plain;
        List<SchemaChoice> choices;
        try
        {
            (plain, choices) = _expansion.Expand(parts);
        }
        catch (UnsatisfiableException)
        {
            return [];
        }

        if (choices.Count > 0)
        {
            var found = new List<JsonElement>();
            SchemaPart[] rest = [.. plain, .. choices.Skip(1).Select(choice => choice.Source)];
            foreach (var alternative in choices[0].Alternatives)
            {
                if (Few([.. alternative, .. rest]) is not { } some || found.Count + some.Count > MaxDistinct)
                    return null;
                found.AddRange(some.Where(value => !found.Exists(other => JsonElement.DeepEquals(value, other))));
            }

            return found;
        }

        var shape = new SchemaShape(plain);
        if (shape.Constants is not { Count: <= MaxDistinct } constants)
            return null;
        var few = new List<JsonElement>();
        foreach (var value in Allowed(shape, constants))
        {
            if (!few.Exists(other => JsonElement.DeepEquals(value, other)))
                few.Add(value);
        }

        return few;
    }

    // The conditions on property names, as languages.
    private SchemaNames Names(JsonElement schema, string at)
    {
        var none = new SchemaNames([((inner, _) => inner.Range(0, 0), true)], []);
        try
        {
            var (plain, choices) = _expansion.Expand([SchemaPart.Holds(schema, at), SchemaPart.Of(SchemaTypes.String)]);
            if (choices.Count > 0)
                throw new GrammarException($"{at}: names with alternatives cannot be enforced; combine them into one pattern");
            var shape = new SchemaShape(plain);
            if ((shape.Types & SchemaTypes.String) == 0 || shape.Length.IsEmpty)
                return none;
            return new([.. JsonSchemaStrings.LanguagesOf(shape)], [.. shape.Constants?.Where(value => value.ValueKind == JsonValueKind.String).Select(value => value.GetString()!) ?? []]);
        }
        catch (UnsatisfiableException)
        {
            return none;
        }
    }
}
