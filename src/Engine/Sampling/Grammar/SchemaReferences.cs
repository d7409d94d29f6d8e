using System.Globalization;
using System.Text.Json;

namespace LocalLlm.Sampling.Grammar;

/// <summary>Where the references of a schema lead.</summary>
internal sealed class SchemaReferences
{
    private const int MaxSteps = 200;
    private readonly JsonElement _root;
    private readonly Dictionary<string, (JsonElement Schema, string At)> _named = new(StringComparer.Ordinal);
    private readonly HashSet<string> _straight = [];

    public SchemaReferences(JsonElement root)
    {
        _root = root;
        StandAlone = root.ValueKind == JsonValueKind.Object && root.TryGetProperty("$schema", out var dialect) && dialect.ValueKind == JsonValueKind.String && dialect.GetString()!.Contains("/draft-0", StringComparison.Ordinal);
        Index(root, "#", "", 0);
    }

    /// <summary>Whether nothing beside a $ref is looked at, as until draft 7.</summary>
    public bool StandAlone { get; }

    /// <summary>What a reference names.</summary>
    /// <param name="reference">The value of $ref.</param>
    /// <param name="at">The place of the schema that has it.</param>
    /// <exception cref="GrammarException">It leads out of the schema, or nowhere.</exception>
    public (JsonElement Schema, string At) Target(JsonElement reference, string at)
    {
        var pointer = reference.ValueKind == JsonValueKind.String ? reference.GetString()! : throw new GrammarException($"{at}/$ref: must be a text");
        if (_named.TryGetValue(pointer.TrimEnd('#'), out var named) && pointer is not ("" or "#"))
            return named;
        if (pointer is not "#" && !pointer.StartsWith("#/", StringComparison.Ordinal))
        {
            // The same with the schema's own address before it.
            return pointer.IndexOf("#/", StringComparison.Ordinal) is var fragment and > 0 && _named.TryGetValue(pointer[..fragment], out var own) && own.At == "#"
                ? Follow(pointer[fragment..], at)
                : throw new GrammarException($"{at}/$ref: '{pointer}' leads out of the schema");
        }

        return Follow(pointer, at);
    }

    /// <summary>A schema, references that stand alone followed.</summary>
    /// <exception cref="GrammarException">They lead nowhere.</exception>
    public (JsonElement Schema, string At) Resolved(JsonElement schema, string at)
    {
        for (var i = 0; i < MaxSteps; i++)
        {
            if (schema.ValueKind != JsonValueKind.Object || !schema.TryGetProperty("$ref", out var reference) || (!StandAlone && SchemaWords.Of(schema).Any(word => word != "$ref")))
                return (schema, at);
            (schema, at) = Target(reference, at);
        }

        throw Circle(at);
    }

    /// <summary>Refuses a schema that contains itself without a property or an item between: it would say nothing.</summary>
    /// <exception cref="GrammarException">It does.</exception>
    public void CheckNoCircle(JsonElement schema, string at) => Walk(schema, at, []);

    private static GrammarException Circle(string at) => new($"{at}: references lead in a circle");

    private void Walk(JsonElement schema, string at, HashSet<string> around)
    {
        if (schema.ValueKind != JsonValueKind.Object || _straight.Contains(at))
            return;
        if (around.Count > MaxSteps || !around.Add(at))
            throw Circle(at);
        if (schema.TryGetProperty("$ref", out var reference))
        {
            var (target, place) = Target(reference, at);
            Walk(target, place, around);
        }

        if (!StandAlone || reference.ValueKind == JsonValueKind.Undefined)
        {
            foreach (var (inner, place) in SchemaWords.InPlace(schema, at))
                Walk(inner, place, around);
        }

        around.Remove(at);
        _straight.Add(at);
    }

    private (JsonElement Schema, string At) Follow(string pointer, string at)
    {
        var target = _root;
        foreach (var part in pointer.Split('/').Skip(1))
        {
            var name = Uri.UnescapeDataString(part).Replace("~1", "/", StringComparison.Ordinal).Replace("~0", "~", StringComparison.Ordinal);
            if (target.ValueKind == JsonValueKind.Object && target.TryGetProperty(name, out var member))
                target = member;
            else if (target.ValueKind == JsonValueKind.Array && int.TryParse(name, NumberStyles.None, CultureInfo.InvariantCulture, out var index) && index < target.GetArrayLength())
                target = target[index];
            else
                throw new GrammarException($"{at}/$ref: '{pointer}' leads nowhere");
        }

        return (target, pointer);
    }

    // Names that schemas give themselves: $id, id, $anchor.
    private void Index(JsonElement schema, string at, string address, int depth)
    {
        if (depth > MaxSteps)
            return;
        if (schema.ValueKind == JsonValueKind.Array)
        {
            for (var i = 0; i < schema.GetArrayLength(); i++)
                Index(schema[i], $"{at}/{i}", address, depth + 1);
        }

        if (schema.ValueKind != JsonValueKind.Object)
            return;
        foreach (var word in (string[])["$id", "id"])
        {
            if (!schema.TryGetProperty(word, out var id) || id.ValueKind != JsonValueKind.String || id.GetString()!.TrimEnd('#') is not { Length: > 0 } name)
                continue;
            _named.TryAdd(name, (schema, at));
            _named.TryAdd(Joined(address, name), (schema, at));
            address = Joined(address, name);
        }

        if (schema.TryGetProperty("$anchor", out var anchor) && anchor.ValueKind == JsonValueKind.String)
            _named.TryAdd($"#{anchor.GetString()}", (schema, at));
        foreach (var property in schema.EnumerateObject())
        {
            if (property.Value.ValueKind is JsonValueKind.Object or JsonValueKind.Array && property.Name is not ("enum" or "const" or "default" or "examples"))
                Index(property.Value, $"{at}/{SchemaWords.Escaped(property.Name)}", address, depth + 1);
        }
    }

    private static string Joined(string address, string name) =>
        Uri.TryCreate(address, UriKind.Absolute, out var around) && Uri.TryCreate(around, name, out var joined) ? joined.ToString() : name;
}
