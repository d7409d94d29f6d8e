using System.Globalization;
using System.Text.Json;

namespace LocalLlm.Grammars;

/// <summary>Resolves the references of a schema.</summary>
internal sealed class SchemaReferences
{
    private const int MaxSteps = 200;
    private readonly Dictionary<string, (JsonElement Schema, string At)> _named = new(StringComparer.Ordinal);
    private readonly List<(JsonElement Schema, string At)> _resources = []; // schemas with an address of their own, outer ones first
    private readonly HashSet<string> _straight = [];

    public SchemaReferences(JsonElement root)
    {
        StandAlone = root.ValueKind == JsonValueKind.Object && root.TryGetProperty("$schema", out var dialect) && dialect.ValueKind == JsonValueKind.String && dialect.GetString()!.Contains("/draft-0", StringComparison.Ordinal);
        _resources.Add((root, "#"));
        Index(root, "#", "", "#", 0, isMap: false);
    }

    /// <summary>Whether keywords beside a $ref are ignored, as up to draft 7.</summary>
    public bool StandAlone { get; }

    /// <summary>Resolves a reference.</summary>
    /// <param name="reference">The value of $ref.</param>
    /// <param name="at">The JSON pointer of the schema that has it.</param>
    /// <exception cref="GrammarException">The reference leads out of the schema, or nowhere.</exception>
    public (JsonElement Schema, string At) Target(JsonElement reference, string at)
    {
        var pointer = reference.ValueKind == JsonValueKind.String ? reference.GetString()! : throw new GrammarException($"{at}/$ref: must be a text");
        var resource = _resources.FindLast(known => at == known.At || at.StartsWith($"{known.At}/", StringComparison.Ordinal));
        if (resource.At is null)
            resource = _resources[0];
        if (pointer is "#" or "")
            return resource;
        if (pointer.StartsWith("#/", StringComparison.Ordinal))
            return Follow(pointer, resource, at);
        if (_named.TryGetValue($"{resource.At} {pointer.TrimEnd('#')}", out var near) || _named.TryGetValue(pointer.TrimEnd('#'), out near))
            return near;

        // The same after a schema's own address.
        return pointer.IndexOf("#/", StringComparison.Ordinal) is var fragment and > 0 && _named.TryGetValue(pointer[..fragment], out var own)
            ? Follow(pointer[fragment..], own, at)
            : throw new GrammarException($"{at}/$ref: '{pointer}' leads out of the schema");
    }

    /// <summary>Refuses a schema that contains itself without a property or an item in between: it would say nothing.</summary>
    /// <exception cref="GrammarException">The schema does so.</exception>
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

    private static (JsonElement Schema, string At) Follow(string pointer, (JsonElement Schema, string At) from, string at)
    {
        var target = from.Schema;
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

        return (target, from.At + pointer[1..]);
    }

    // Indexes the names that schemas give themselves: $id, id, $anchor. In a map, such as properties, the keys are names, not keywords.
    private void Index(JsonElement schema, string at, string address, string resource, int depth, bool isMap)
    {
        if (depth > MaxSteps)
            return;
        if (schema.ValueKind == JsonValueKind.Array)
        {
            var i = 0;
            foreach (var item in schema.EnumerateArray())
                Index(item, $"{at}/{i++}", address, resource, depth + 1, isMap: false);
        }

        if (schema.ValueKind != JsonValueKind.Object)
            return;
        foreach (var word in isMap ? [] : (string[])["$id", "id"])
        {
            if (!schema.TryGetProperty(word, out var id) || id.ValueKind != JsonValueKind.String || id.GetString()!.TrimEnd('#') is not { Length: > 0 } name)
                continue;
            _named.TryAdd(name, (schema, at));
            _named.TryAdd(Joined(address, name), (schema, at));
            address = Joined(address, name);
            if (word != "$id" || name[0] == '#' || at == "#")
                continue;
            _resources.Add((schema, at));
            resource = at;
        }

        if (!isMap && schema.TryGetProperty("$anchor", out var anchor) && anchor.ValueKind == JsonValueKind.String)
        {
            _named.TryAdd($"{resource} #{anchor.GetString()}", (schema, at));
            _named.TryAdd($"{address}#{anchor.GetString()}", (schema, at));
        }

        foreach (var property in schema.EnumerateObject())
        {
            if (property.Value.ValueKind is JsonValueKind.Object or JsonValueKind.Array && (isMap || property.Name is not ("enum" or "const" or "default" or "examples")))
                Index(property.Value, $"{at}/{SchemaWords.Escaped(property.Name)}", address, resource, depth + 1, !isMap && property.Name is "properties" or "patternProperties" or "$defs" or "definitions" or "dependentSchemas" or "dependencies");
        }
    }

    private static string Joined(string address, string name) =>
        Uri.TryCreate(address, UriKind.Absolute, out var around) && Uri.TryCreate(around, name, out var joined) ? joined.ToString() : name;
}
