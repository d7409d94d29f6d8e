using System.Globalization;
using System.Numerics;
using System.Text.Json;

namespace LocalLlm.Sampling.Grammar;

/// <summary>
/// A JSON schema (the keywords of drafts 4 to 2020-12 that <see cref="JsonSchemaKeywords"/> names) as a grammar of its instances. Properties come in any order. What cannot be kept to token by token is refused with
/// its JSON pointer; words that are no keywords of validation are notes, as the standard has it.
/// </summary>
internal sealed class JsonSchemaGrammar
{
    private const int MaxNesting = 64;
    private const int MaxLength = 1_000_000;
    private const int MaxBoundDigits = 40;
    private const int MaxBodies = 20_000;
    private const int MaxSchemaBytes = 1 << 20;
    private static readonly JsonSerializerOptions Compact = new() { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping, MaxDepth = 1000 };
    private static readonly string[] AllTypes = ["object", "array", "string", "number", "boolean", "null"];

    private readonly GrammarNodes _nodes;
    private readonly JsonGrammar _json;
    private readonly JsonSchemaText _text;
    private readonly JsonSchemaNumbers _numbers;
    private readonly JsonSchemaNot _not;
    private readonly StringBudget _strings = new();
    private readonly JsonElement _root;
    private readonly bool _refsStandAlone;
    private readonly bool _isClosed;
    private readonly Dictionary<string, int> _rules = [];
    private readonly HashSet<string> _unsatisfiable = [];
    private int _nesting;
    private int _bodies;

    private JsonSchemaGrammar(GrammarNodes nodes, JsonElement root, bool isClosed)
    {
        _isClosed = isClosed;
        _nodes = nodes;
        _root = root;
        _refsStandAlone = IsBeforeDraft2019(root);
        _json = new(nodes);
        _text = new(nodes);
        _numbers = new(nodes);
        _not = new(schema => Resolved(schema, "#"));
    }

    /// <summary>The grammar of a schema.</summary>
    /// <param name="nodes">The rules.</param>
    /// <param name="schema">The schema.</param>
    /// <param name="isClosed">Whether objects with named properties have no others, unless the schema speaks of others.</param>
    /// <exception cref="GrammarException">It is malformed, contradicts itself, or has what this does not do; the message begins with the JSON pointer.</exception>
    public static Fragment Parse(GrammarNodes nodes, JsonElement schema, bool isClosed = false)
    {
        if (schema.GetRawText().Length > MaxSchemaBytes)
            throw Wrong("#", $"the schema is larger than {MaxSchemaBytes} characters");
        try
        {
            return new JsonSchemaGrammar(nodes, schema, isClosed).Value(schema, "#");
        }
        catch (InvalidOperationException)
        {
            // A keyword below a part that is only looked at to be compared.
            throw Wrong("#", "a keyword has a value of a wrong kind");
        }
    }

    // A rule of its own for every place of the schema, so that schemas can contain themselves.
    private Fragment Value(JsonElement schema, string at)
    {
        if (_unsatisfiable.Contains(at))
            throw Nothing(at, "nothing is allowed here");
        if (!_rules.TryGetValue(at, out var rule))
        {
            _rules.Add(at, rule = _nodes.DeclareRule());
            try
            {
                _nodes.DefineRule(rule, Body(schema, at));
            }
            catch (UnsatisfiableException)
            {
                // Rules that have called it by now lead nowhere there.
                _nodes.DefineRule(rule, new(_nodes.Nothing().Start, _nodes.Nothing().Start));
                _unsatisfiable.Add(at);
                throw;
            }
        }

        return _nodes.Call(rule);
    }

    private Fragment Body(JsonElement schema, string at)
    {
        // Also what several schemas make together can contain itself.
        if (++_nesting > MaxNesting || ++_bodies > MaxBodies)
            throw Wrong(at, $"schemas are nested deeper than {MaxNesting}, or there are more than {MaxBodies}");
        try
        {
            return Checked(schema, at);
        }
        finally
        {
            _nesting--;
        }
    }

    private Fragment Checked(JsonElement schema, string at)
    {
        switch (schema.ValueKind)
        {
            case JsonValueKind.True:
                return _json.Value();
            case JsonValueKind.False:
                throw Nothing(at, "nothing is allowed here");
            case JsonValueKind.Object:
                break;
            default:
                throw Wrong(at, $"a schema must be an object, true or false, found {schema.ValueKind}");
        }

        JsonSchemaKeywords.Check(schema, at);
        if (schema.TryGetProperty("$ref", out var reference))
            return Referred(schema, reference, at);
        if (schema.TryGetProperty("not", out var not))
        {
            schema = JsonSchemaMerge.Merge(JsonSchemaMerge.Without(schema, "not"), JsonSchemaNot.Of(Resolved(not, at)), at);
            if (_not.Rewritten(schema, at) is { } rewritten)
                return Body(rewritten, at);
        }

        if (schema.TryGetProperty("allOf", out var all))
            return Body(Items(all, at, "allOf").Aggregate(JsonSchemaMerge.Without(schema, "allOf"), (merged, part) => JsonSchemaMerge.Merge(merged, Resolved(part, at), at)), at);
        foreach (var keyword in (string[])["anyOf", "oneOf"])
        {
            if (schema.TryGetProperty(keyword, out var some))
                return Alternatives(JsonSchemaMerge.Without(schema, keyword), Items(some, at, keyword), keyword, at);
        }

        if (schema.TryGetProperty("enum", out var values) || schema.TryGetProperty("const", out _))
            return Constants(schema, values, at);
        var types = Types(schema, at).Distinct().ToArray();
        return Some([.. types.Select<string, Func<Fragment>>(type => () => OfType(type, schema, at))], at, "no type is left");
    }

    private Fragment Referred(JsonElement schema, JsonElement reference, string at)
    {
        var target = Target(reference, at);
        var rest = JsonSchemaMerge.Without(schema, "$ref");
        return !_refsStandAlone && JsonSchemaKeywords.HasValidation(rest)
            ? Body(JsonSchemaMerge.Merge(rest, Resolved(target, at), at), at)
            : Value(target, reference.GetString()!);
    }

    private Fragment Alternatives(JsonElement rest, JsonElement[] some, string keyword, string at)
    {
        var resolved = some.Select(part => Resolved(part, at)).ToArray();
        var others = keyword == "oneOf" ? JsonSchemaMerge.Overlaps(resolved, $"{at}/oneOf") : [.. some.Select(_ => System.Array.Empty<int>())];
        var hasRest = JsonSchemaKeywords.HasValidation(rest);
        return Some([.. some.Select<JsonElement, Func<Fragment>>((part, i) => () =>
        {
            var place = $"{at}/{keyword}/{i}";
            if (!hasRest && others[i].Length == 0)
                return Value(part, place);

            // Exactly one: this one, and none of the others that may hold beside it.
            var only = others[i].Aggregate(resolved[i], (schema, other) => JsonSchemaMerge.Merge(schema, JsonSchemaNot.Of(resolved[other]), place));
            return Body(hasRest ? JsonSchemaMerge.Merge(rest, only, place) : only, place);
        })], at, $"no alternative of {keyword} is possible");
    }

    // Those of some that there are.
    private Fragment Some(IReadOnlyList<Func<Fragment>> some, string at, string otherwise)
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

        return parts.Count switch { 0 => throw Nothing(at, otherwise), 1 => parts[0], _ => _nodes.Either([.. parts]) };
    }

    private Fragment Constants(JsonElement schema, JsonElement values, string at)
    {
        var rest = JsonSchemaMerge.Without(JsonSchemaMerge.Without(schema, "enum"), "const");
        var candidates = schema.TryGetProperty("const", out var constant) ? [constant] : Items(values, at, "enum");
        if (schema.TryGetProperty("const", out _) && values.ValueKind == JsonValueKind.Array)
            candidates = [.. candidates.Where(candidate => values.EnumerateArray().Any(value => JsonElement.DeepEquals(value, candidate)))];
        var types = Types(rest, at).ToHashSet();
        var allowed = candidates.Where(value => types.Contains(JsonSchemaMerge.TypeOf(value)) || (types.Contains("integer") && JsonSchemaMerge.IsInteger(value))).ToArray();
        if (JsonSchemaKeywords.HasValidation(JsonSchemaMerge.Without(rest, "type")) && allowed.Length > 0)
            allowed = [.. allowed.Where(Instances(rest, at))];
        return allowed.Length == 0 ? throw Nothing(at, "none of the constants is allowed") : _nodes.Either([.. allowed.Select(Constant)]);
    }

    // Which values a schema allows: those whose text its own grammar accepts.
    private Func<JsonElement, bool> Instances(JsonElement schema, string at)
    {
        var nodes = new GrammarNodes(GrammarLimits.Default);
        var automaton = new ByteAutomaton(nodes, nodes.Finish(new JsonSchemaGrammar(nodes, _root, _isClosed) { _nesting = _nesting, _bodies = _bodies }.Body(schema, at)), GrammarLimits.Default);
        return value => System.Text.Encoding.UTF8.GetBytes(JsonSerializer.Serialize(value, Compact)).Aggregate(automaton.Start, automaton.Next).IsAccepting;
    }

    private Fragment Constant(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.String => _text.String(value.GetString()!),
        JsonValueKind.Array => _nodes.Sequence(
            _nodes.Literal("["), _json.Space(), Joined([.. value.EnumerateArray().Select(item => _nodes.Sequence(Constant(item), _json.Space()))]), _nodes.Literal("]")),
        JsonValueKind.Object => new JsonSchemaObject(_nodes, _json, _strings, new()
        {
            Properties = [.. value.EnumerateObject().Select(property => new SchemaProperty(property.Name, () => Constant(property.Value)) { IsRequired = true })],
            Other = _ => null,
        }).Make(),
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

    private Fragment OfType(string type, JsonElement schema, string at)
    {
        switch (type)
        {
            case "null":
                return _nodes.Literal("null");
            case "boolean":
                return _nodes.Either(_nodes.Literal("true"), _nodes.Literal("false"));
            case "string":
                return String(schema, at);
            case "array":
                return Array(schema, at);
            case "object":
                return Object(schema, at);
            default:
                var (least, most) = (Bound(schema, "minimum", "exclusiveMinimum", lower: true, at), Bound(schema, "maximum", "exclusiveMaximum", lower: false, at));
                if (type == "integer")
                    return Numbered(() => _numbers.Integers(least, most), at);
                return least is null && most is null ? _json.Number() : Numbered(() => _numbers.Decimals(least, most), at);
        }
    }

    private static Fragment Numbered(Func<Fragment> make, string at)
    {
        try
        {
            return make();
        }
        catch (UnsatisfiableException impossible)
        {
            throw Nothing(at, impossible.Message);
        }
    }

    private static JsonSchemaNumbers.Bound? Bound(JsonElement schema, string inclusive, string exclusive, bool lower, string at)
    {
        JsonSchemaNumbers.Bound? bound = null;
        // Draft 4 has a flag, later drafts a number.
        var flag = schema.TryGetProperty(exclusive, out var other) && other.ValueKind == JsonValueKind.True;
        if (schema.TryGetProperty(inclusive, out var given))
            bound = new(Whole(given, $"{at}/{inclusive}"), flag);
        if (other.ValueKind == JsonValueKind.Number && new JsonSchemaNumbers.Bound(Whole(other, $"{at}/{exclusive}"), true) is var strict
            && (bound is not { } known || (lower ? strict.Value >= known.Value : strict.Value <= known.Value)))
            bound = strict;
        return bound;
    }

    private static BigInteger Whole(JsonElement number, string at) =>
        number.ValueKind == JsonValueKind.Number && number.GetRawText().Length <= MaxBoundDigits && JsonSchemaMerge.IsInteger(number) && BigInteger.TryParse(number.GetRawText().Split('.')[0], NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var value)
            ? value
            : throw Wrong(at, $"only whole bounds of at most {MaxBoundDigits} characters can be kept to, found {number.GetRawText()}");

    private Fragment String(JsonElement schema, string at)
    {
        var (least, most) = (Count(schema, "minLength", at) ?? 0, Count(schema, "maxLength", at));
        if (most < least)
            throw Nothing(at, $"no length lies between {least} and {most}");
        var hasLength = least > 0 || most is not null;
        var patterns = new List<string>();
        if (schema.TryGetProperty("pattern", out var given))
            patterns.Add(given.GetString()!);
        if (schema.TryGetProperty("format", out var named) && named.ValueKind == JsonValueKind.String && JsonSchemaFormats.Find(named.GetString()!, $"{at}/format") is { } format)
            patterns.Add(format);
        var forbidden = _not.StringsOf(schema);
        try
        {
            if (patterns.Count + (hasLength ? 1 : 0) > 1 || forbidden.Count > 0)
                return Intersection(patterns, forbidden, least, most);
            if (patterns.Count == 1)
                return _nodes.Sequence(_nodes.Literal("\""), new RegexGrammar(_nodes, _text.Character).Search(patterns[0]), _nodes.Literal("\""));
        }
        catch (UnsatisfiableException impossible)
        {
            throw Nothing(at, impossible.Message);
        }
        catch (GrammarException wrong)
        {
            throw Wrong(patterns.Count > 0 ? $"{at}/pattern" : at, wrong.Message);
        }

        return !hasLength ? _json.String() : _nodes.Sequence(_nodes.Literal("\""), new JsonSchemaLength(_nodes, _json.Character).Make(least, most), _nodes.Literal("\""));
    }

    private Fragment Intersection(List<string> patterns, IReadOnlyList<IReadOnlyList<StringLanguages.Language>> forbidden, int least, int? most)
    {
        var languages = new StringLanguages(_strings);
        foreach (var pattern in patterns)
            languages.Add((nodes, text) => new RegexGrammar(nodes, text.Character).Search(pattern));
        if (least > 0 || most is not null)
            languages.Add(StringLanguages.OfLength(least, most));
        foreach (var language in forbidden.SelectMany(group => group))
            languages.Add(language);
        var (start, ends) = languages.Make(_nodes, isIn =>
        {
            var place = isIn.Length - forbidden.Sum(group => group.Count);
            var isAllowed = !isIn.AsSpan(0, place).Contains(false);
            foreach (var group in forbidden)
            {
                isAllowed &= isIn.AsSpan(place, group.Count).Contains(false);
                place += group.Count;
            }

            return isAllowed ? 0 : -1;
        });
        return new(start, ends[0]);
    }

    private Fragment Array(JsonElement schema, string at)
    {
        var (least, most) = (Count(schema, "minItems", at) ?? 0, Count(schema, "maxItems", at));
        if (most < least)
            throw Nothing(at, $"no number of items lies between {least} and {most}");
        var hasItems = schema.TryGetProperty("items", out var items);
        if (hasItems && items.ValueKind == JsonValueKind.False)
            return least > 0 ? throw Nothing(at, "items are required and none is allowed") : _nodes.Sequence(_nodes.Literal("["), _json.Space(), _nodes.Literal("]"));
        if (hasItems && !IsPossible(items, $"{at}/items"))
            return least > 0 ? throw Nothing(at, "items are required and none is possible") : _nodes.Sequence(_nodes.Literal("["), _json.Space(), _nodes.Literal("]"));
        if (least == 0 && most is null)
            return _nodes.Sequence(_nodes.Literal("["), _json.Space(), _json.List(_nodes.Sequence(hasItems ? Value(items, $"{at}/items") : _json.Value(), _json.Space())), _nodes.Literal("]"));
        Fragment Item() => _nodes.Sequence(hasItems ? Value(items, $"{at}/items") : _json.Value(), _json.Space());
        Fragment Next() => _nodes.Sequence(_nodes.Literal(","), _json.Space(), Item());
        var list = most == 0 ? _nodes.Nothing() : _nodes.Sequence(Item(), _nodes.Repeat(Next, Math.Max(0, least - 1), most - 1));
        return _nodes.Sequence(_nodes.Literal("["), _json.Space(), least == 0 && most != 0 ? _nodes.Optional(list) : list, _nodes.Literal("]"));
    }

    private bool IsPossible(JsonElement schema, string at)
    {
        try
        {
            Value(schema, at);
            return true;
        }
        catch (UnsatisfiableException)
        {
            return false;
        }
    }

    private Fragment Object(JsonElement schema, string at)
    {
        var (least, most) = (Count(schema, "minProperties", at) ?? 0, Count(schema, "maxProperties", at));
        try
        {
            return new JsonSchemaObject(_nodes, _json, _strings, new JsonSchemaMembers(schema, at, _isClosed, Value, _json.Value).Read() with { Least = least, Most = most }).Make();
        }
        catch (UnsatisfiableException impossible)
        {
            throw Nothing(at, impossible.Message);
        }
    }

    private static IEnumerable<string> Types(JsonElement schema, string at)
    {
        if (!schema.TryGetProperty("type", out var type))
            return AllTypes;
        var given = type.ValueKind == JsonValueKind.Array ? type.EnumerateArray().ToArray() : [type];
        foreach (var name in given)
        {
            if (name.ValueKind != JsonValueKind.String || (name.GetString() != "integer" && System.Array.IndexOf(AllTypes, name.GetString()) < 0))
                throw Wrong($"{at}/type", $"{name.GetRawText()} is no type");
        }

        return given.Select(name => name.GetString()!);
    }

    private static int? Count(JsonElement schema, string keyword, string at) =>
        !schema.TryGetProperty(keyword, out var value) ? null
        : value.ValueKind == JsonValueKind.Number && value.TryGetDouble(out var number) && number >= 0 && number == Math.Floor(number)
            ? number <= MaxLength ? (int)number : throw Wrong($"{at}/{keyword}", $"is {value.GetRawText()}; at most {MaxLength}")
        : throw Wrong($"{at}/{keyword}", $"must be a whole number, found {value.GetRawText()}");

    private static JsonElement[] Items(JsonElement array, string at, string keyword) =>
        array.ValueKind == JsonValueKind.Array && array.GetArrayLength() > 0 ? [.. array.EnumerateArray()] : throw Wrong($"{at}/{keyword}", "must be an array with at least one item");

    // What a schema says, references followed.
    private JsonElement Resolved(JsonElement schema, string at)
    {
        for (var i = 0; i < MaxNesting; i++)
        {
            if (schema.ValueKind != JsonValueKind.Object || !schema.TryGetProperty("$ref", out var reference))
                return schema;
            var rest = JsonSchemaMerge.Without(schema, "$ref");
            var target = Target(reference, at);
            schema = !_refsStandAlone && JsonSchemaKeywords.HasValidation(rest) ? JsonSchemaMerge.Merge(rest, target, at) : target;
        }

        throw Wrong(at, "references lead in a circle");
    }

    private JsonElement Target(JsonElement reference, string at)
    {
        var pointer = reference.ValueKind == JsonValueKind.String ? reference.GetString()! : throw Wrong($"{at}/$ref", "must be a text");
        if (pointer is not "#" && !pointer.StartsWith("#/", StringComparison.Ordinal))
            throw Wrong($"{at}/$ref", $"'{pointer}' leads out of the schema");
        var target = _root;
        foreach (var part in pointer.Split('/').Skip(1))
        {
            var name = Uri.UnescapeDataString(part).Replace("~1", "/", StringComparison.Ordinal).Replace("~0", "~", StringComparison.Ordinal);
            if (target.ValueKind == JsonValueKind.Object && target.TryGetProperty(name, out var member))
                target = member;
            else if (target.ValueKind == JsonValueKind.Array && int.TryParse(name, NumberStyles.None, CultureInfo.InvariantCulture, out var index) && index < target.GetArrayLength())
                target = target[index];
            else
                throw Wrong($"{at}/$ref", $"'{pointer}' leads nowhere");
        }

        return target;
    }

    // Until draft 7 what stands beside a $ref is not looked at.
    private static bool IsBeforeDraft2019(JsonElement root) =>
        root.ValueKind == JsonValueKind.Object && root.TryGetProperty("$schema", out var dialect) && dialect.ValueKind == JsonValueKind.String && dialect.GetString()!.Contains("/draft-0", StringComparison.Ordinal);

    private static UnsatisfiableException Nothing(string at, string message) => new($"{at}: {message}");

    private static GrammarException Wrong(string at, string message) => new($"{at}: {message}");
}
