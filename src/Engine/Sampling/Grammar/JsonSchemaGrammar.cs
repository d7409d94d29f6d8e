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
    private const int MaxLength = 10_000;
    private const int MaxBoundDigits = 40;
    private const int MaxBodies = 20_000;
    private const int MaxSchemaBytes = 1 << 20;
    private static readonly string[] AllTypes = ["object", "array", "string", "number", "boolean", "null"];

    private readonly GrammarNodes _nodes;
    private readonly JsonGrammar _json;
    private readonly JsonSchemaText _text;
    private readonly JsonSchemaNumbers _numbers;
    private readonly JsonElement _root;
    private readonly bool _refsStandAlone;
    private readonly bool _isClosed;
    private readonly Dictionary<string, int> _rules = [];
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
        if (!_rules.TryGetValue(at, out var rule))
        {
            _rules.Add(at, rule = _nodes.DeclareRule());
            _nodes.DefineRule(rule, Body(schema, at));
        }

        return _nodes.Call(rule);
    }

    private Fragment Body(JsonElement schema, string at)
    {
        // Also what several schemas make together can contain itself.
        if (++_nesting > MaxNesting || ++_bodies > MaxBodies)
            throw Wrong(at, $"schemas are nested deeper than {MaxNesting}, or there are more than {MaxBodies}");
        var body = Checked(schema, at);
        _nesting--;
        return body;
    }

    private Fragment Checked(JsonElement schema, string at)
    {
        switch (schema.ValueKind)
        {
            case JsonValueKind.True:
                return _json.Value();
            case JsonValueKind.False:
                throw Wrong(at, "nothing is allowed here");
            case JsonValueKind.Object:
                break;
            default:
                throw Wrong(at, $"a schema must be an object, true or false, found {schema.ValueKind}");
        }

        JsonSchemaKeywords.Check(schema, at);
        if (schema.TryGetProperty("$ref", out var reference))
            return Referred(schema, reference, at);
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
        return types.Length == 0 ? throw Wrong(at, "no type is left") : Either([.. types.Select(type => OfType(type, schema, at))]);
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
        if (keyword == "oneOf")
            JsonSchemaMerge.CheckDisjoint(resolved, $"{at}/oneOf");
        var hasRest = JsonSchemaKeywords.HasValidation(rest);
        var parts = new List<Fragment>();
        for (var i = 0; i < some.Length; i++)
        {
            var place = $"{at}/{keyword}/{i}";
            parts.Add(hasRest ? Body(JsonSchemaMerge.Merge(rest, resolved[i], place), place) : Value(some[i], place));
        }

        return Either(parts);
    }

    private Fragment Constants(JsonElement schema, JsonElement values, string at)
    {
        var rest = JsonSchemaMerge.Without(JsonSchemaMerge.Without(schema, "enum"), "const");
        var candidates = schema.TryGetProperty("const", out var constant) ? [constant] : Items(values, at, "enum");
        if (schema.TryGetProperty("const", out _) && values.ValueKind == JsonValueKind.Array)
            candidates = [.. candidates.Where(candidate => values.EnumerateArray().Any(value => JsonElement.DeepEquals(value, candidate)))];
        var types = Types(rest, at).ToHashSet();
        var allowed = candidates.Where(value => types.Contains(JsonSchemaMerge.TypeOf(value)) || (types.Contains("integer") && JsonSchemaMerge.IsInteger(value))).ToArray();
        if (JsonSchemaKeywords.HasValidation(JsonSchemaMerge.Without(rest, "type")) && allowed.Any(value => value.ValueKind is not (JsonValueKind.True or JsonValueKind.False or JsonValueKind.Null)))
            throw Wrong(at, "enum or const beside other keywords than type");
        return allowed.Length == 0 ? throw Wrong(at, "none of the constants is allowed") : Either([.. allowed.Select(Constant)]);
    }

    private Fragment Constant(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.String => _text.String(value.GetString()!),
        JsonValueKind.Array => _nodes.Sequence(
            _nodes.Literal("["), _json.Space(), Joined([.. value.EnumerateArray().Select(item => _nodes.Sequence(Constant(item), _json.Space()))]), _nodes.Literal("]")),
        JsonValueKind.Object => new JsonSchemaObject(
            _nodes, _json, [.. value.EnumerateObject().Select(property => new SchemaProperty(property.Name, () => Constant(property.Value), IsRequired: true))], null).Make(),
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
        catch (GrammarException impossible)
        {
            throw Wrong(at, impossible.Message);
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
        var hasLength = least > 0 || most is not null;
        var pattern = schema.TryGetProperty("pattern", out var given) ? given.GetString() : null;
        var format = schema.TryGetProperty("format", out var named) && named.ValueKind == JsonValueKind.String ? JsonSchemaFormats.Find(named.GetString()!, $"{at}/format") : null;
        if ((pattern is null ? 0 : 1) + (format is null ? 0 : 1) + (hasLength ? 1 : 0) > 1)
            throw Wrong(at, "only one of pattern, format and a length can be kept to at once");
        if ((pattern ?? format) is { } expression)
        {
            try
            {
                return _nodes.Sequence(_nodes.Literal("\""), new RegexGrammar(_nodes, _text.Character).Search(expression), _nodes.Literal("\""));
            }
            catch (GrammarException wrong)
            {
                throw Wrong($"{at}/pattern", wrong.Message);
            }
        }

        if (!hasLength)
            return _json.String();
        if (most < least)
            throw Wrong(at, $"no length lies between {least} and {most}");
        return _nodes.Sequence(_nodes.Literal("\""), _nodes.Repeat(_json.Character, least, most), _nodes.Literal("\""));
    }

    private Fragment Array(JsonElement schema, string at)
    {
        var (least, most) = (Count(schema, "minItems", at) ?? 0, Count(schema, "maxItems", at));
        if (most < least)
            throw Wrong(at, $"no number of items lies between {least} and {most}");
        var hasItems = schema.TryGetProperty("items", out var items);
        if (hasItems && items.ValueKind == JsonValueKind.False)
            return least > 0 ? throw Wrong(at, "items are required and none is allowed") : _nodes.Sequence(_nodes.Literal("["), _json.Space(), _nodes.Literal("]"));
        if (least == 0 && most is null)
            return _nodes.Sequence(_nodes.Literal("["), _json.Space(), _json.List(_nodes.Sequence(hasItems ? Value(items, $"{at}/items") : _json.Value(), _json.Space())), _nodes.Literal("]"));
        Fragment Item() => _nodes.Sequence(hasItems ? Value(items, $"{at}/items") : _json.Value(), _json.Space());
        Fragment Next() => _nodes.Sequence(_nodes.Literal(","), _json.Space(), Item());
        var list = most == 0 ? _nodes.Nothing() : _nodes.Sequence(Item(), _nodes.Repeat(Next, Math.Max(0, least - 1), most - 1));
        return _nodes.Sequence(_nodes.Literal("["), _json.Space(), least == 0 && most != 0 ? _nodes.Optional(list) : list, _nodes.Literal("]"));
    }

    private Fragment Object(JsonElement schema, string at)
    {
        var additional = schema.TryGetProperty("additionalProperties", out var other) ? other : (JsonElement?)null;
        Func<Fragment>? others = additional switch
        {
            null when _isClosed && schema.TryGetProperty("properties", out _) => null,
            null or { ValueKind: JsonValueKind.True } => _json.Value,
            { ValueKind: JsonValueKind.False } => null,
            { } given => () => Value(given, $"{at}/additionalProperties"),
        };
        var required = schema.TryGetProperty("required", out var names) && names.ValueKind == JsonValueKind.Array
            ? names.EnumerateArray().Select(name => name.GetString()!).ToHashSet()
            : [];
        var properties = new List<SchemaProperty>();
        if (schema.TryGetProperty("properties", out var known))
        {
            foreach (var property in known.EnumerateObject())
            {
                var isRequired = required.Remove(property.Name);
                var place = $"{at}/properties/{property.Name.Replace("~", "~0", StringComparison.Ordinal).Replace("/", "~1", StringComparison.Ordinal)}";
                if (property.Value.ValueKind == JsonValueKind.False)
                    properties.Add(isRequired ? throw Wrong(place, "a required property may not be there") : new(property.Name, null, false));
                else
                    properties.Add(new(property.Name, () => Value(property.Value, place), isRequired));
            }
        }

        foreach (var name in required)
            properties.Add(new(name, others ?? throw Wrong($"{at}/required", $"'{name}' is required, and additionalProperties forbids it"), true));
        if (schema.TryGetProperty("minProperties", out var least) && least.TryGetDouble(out var count) && count > properties.Count(property => property.IsRequired))
            throw Wrong($"{at}/minProperties", "cannot be kept to");
        return new JsonSchemaObject(_nodes, _json, properties, others).Make();
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

    private Fragment Either(List<Fragment> parts) => parts.Count == 1 ? parts[0] : _nodes.Either([.. parts]);

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

    private static GrammarException Wrong(string at, string message) => new($"{at}: {message}");
}
