using System.Text.Json;
using LocalLlm.Requests;

namespace LocalLlm.Sampling;

/// <summary>Reads vLLM's <c>structured_outputs</c> and OpenAI's <c>response_format</c>.</summary>
internal static class StructuredOutputsJson
{
    private const string Structured = "structured_outputs";
    private const string Format = "response_format";
    private const string Schema = "schema";

    /// <summary>The structure that the two fields ask for; null: none.</summary>
    public static StructuredOutputs? Read(JsonElement? structured, JsonElement? format, RequestErrors errors)
    {
        var fromFormat = format is { } given ? ReadFormat(given, errors) : null;
        if (structured is not { } element)
            return fromFormat;
        if (fromFormat is not null)
            errors.Add(Structured, "a structure", $"nothing beside a {Format} that asks for one");
        if (element.ValueKind != JsonValueKind.Object)
        {
            errors.Add(Structured, element.ValueKind.ToString(), "an object with json, choice, regex, grammar or json_object");
            return null;
        }

        var read = new StructuredOutputs();
        foreach (var property in element.EnumerateObject().Where(property => property.Value.ValueKind != JsonValueKind.Null))
        {
            switch (property.Name)
            {
                case "json" when property.Value.ValueKind is JsonValueKind.Object or JsonValueKind.True or JsonValueKind.False:
                    read = read with { Json = property.Value.Clone() };
                    break;
                case "json" when property.Value.ValueKind == JsonValueKind.String && ParseSchema(property.Value.GetString()!) is { } schema:
                    read = read with { Json = schema };
                    break;
                case "choice" when property.Value.ValueKind == JsonValueKind.Array && property.Value.EnumerateArray().All(item => item.ValueKind == JsonValueKind.String):
                    read = read with { Choice = [.. property.Value.EnumerateArray().Select(item => item.GetString()!)] };
                    break;
                case "regex" when property.Value.ValueKind == JsonValueKind.String:
                    read = read with { Regex = property.Value.GetString() };
                    break;
                case "grammar" when property.Value.ValueKind == JsonValueKind.String:
                    read = read with { Grammar = property.Value.GetString() };
                    break;
                case "json_object" when property.Value.ValueKind is JsonValueKind.True or JsonValueKind.False:
                    read = read with { JsonObject = property.Value.GetBoolean() };
                    break;
                default:
                    errors.Add($"{Structured}.{property.Name}", property.Value.ValueKind.ToString(), "json (a schema, as an object or a text), choice (texts), regex (a text), grammar (EBNF, a text) or json_object (true); nothing else is supported");
                    break;
            }
        }

        return read;
    }

    // The members that define a structure, and the types that have them. Together, Fireworks and llama.cpp put the schema beside the type,
    // and have types of their own for patterns and grammars.
    private static readonly Dictionary<string, string[]> MembersOfTypes = new(StringComparer.Ordinal)
    {
        ["text"] = [],
        ["json_object"] = [Schema],
        ["json_schema"] = ["json_schema", Schema],
        ["regex"] = ["pattern"],
        ["grammar"] = ["grammar"],
    };

    private static StructuredOutputs? ReadFormat(JsonElement format, RequestErrors errors)
    {
        const string allowed = "{\"type\": \"text\"}, {\"type\": \"json_object\"}, which may have a schema, "
            + "or {\"type\": \"json_schema\", \"json_schema\": {\"schema\": …}}";
        var type = Member(format, "type") is { ValueKind: JsonValueKind.String } value ? value.GetString()! : null;
        if (type == "structural_tag")
        {
            errors.AddUnsupported(Format, "type " + type, "the types " + string.Join(", ", MembersOfTypes.Keys));
            return null;
        }

        if (type is null || !MembersOfTypes.TryGetValue(type, out var members))
        {
            errors.Add(Format, type ?? format.ValueKind.ToString(), allowed);
            return null;
        }

        string[] given = [.. MembersOfTypes.Values.SelectMany(names => names).Distinct().Where(name => Member(format, name) is not null)];
        foreach (var stray in given.Except(members))
        {
            errors.Add(
                $"{Format}.{stray}", $"a value beside type {type}", $"only beside type {Owner(stray)}; change the type, or remove {stray}");
        }

        if (type == "json_schema" && given.Contains(Schema) && given.Contains("json_schema"))
            errors.Add($"{Format}.{Schema}", "a schema beside json_schema", "one schema; remove one of them");
        return type switch
        {
            "text" => null,
            "json_object" when IsOpen(Member(format, Schema)) => new() { JsonObject = true, Field = Format },
            "regex" => TextMember(format, "pattern", errors) is { } pattern ? new() { Regex = pattern, Field = Format } : null,
            "grammar" => TextMember(format, "grammar", errors) is { } grammar ? new() { Grammar = grammar, Field = Format } : null,
            _ => ReadSchema(format, errors),
        };
    }

    private static StructuredOutputs? ReadSchema(JsonElement format, RequestErrors errors)
    {
        var named = Member(format, "json_schema");
        var (place, given) = Member(format, Schema) is { } direct ? ($"{Format}.{Schema}", direct)
            : named is { } holder ? ($"{Format}.json_schema.{Schema}", Member(holder, Schema)) : ((string, JsonElement?))("", null);
        if (given is not { } schema)
        {
            errors.Add($"{Format}.json_schema", "no schema", "an object with a schema");
            return null;
        }

        var read = schema.ValueKind == JsonValueKind.String ? ParseSchema(schema.GetString()!) : schema.Clone();
        if (read is not { ValueKind: JsonValueKind.Object or JsonValueKind.True or JsonValueKind.False })
        {
            errors.Add(place, schema.ValueKind.ToString().ToLowerInvariant(), "a JSON schema, as an object or as its text");
            return null;
        }

        return new()
        {
            Json = read,
            SchemaName = named is { } one ? Text(one, "name", errors) : null,
            SchemaDescription = named is { } other ? Text(other, "description", errors) : null,
            Field = Format,
        };
    }

    // No schema, or an empty one.
    private static bool IsOpen(JsonElement? schema) =>
        schema is not { } given || (given.ValueKind == JsonValueKind.Object && !given.EnumerateObject().Any());

    private static string Owner(string member) =>
        string.Join(" or ", MembersOfTypes.Where(type => type.Value.Contains(member)).Select(type => type.Key));

    // Null counts as absent.
    private static JsonElement? Member(JsonElement holder, string name) =>
        holder.ValueKind == JsonValueKind.Object && holder.TryGetProperty(name, out var value) && value.ValueKind != JsonValueKind.Null
            ? value
            : null;

    private static string? TextMember(JsonElement format, string name, RequestErrors errors)
    {
        if (Member(format, name) is { ValueKind: JsonValueKind.String } text)
            return text.GetString();
        var found = Member(format, name) is { } wrong ? wrong.ValueKind.ToString().ToLowerInvariant() : "nothing";
        errors.Add($"{Format}.{name}", found, "a text");
        return null;
    }

    private static string? Text(JsonElement named, string field, RequestErrors errors)
    {
        if (Member(named, field) is not { } value)
            return null;
        if (value.ValueKind == JsonValueKind.String)
            return value.GetString();
        errors.Add($"{Format}.json_schema.{field}", value.ValueKind.ToString(), "a text");
        return null;
    }

    private static JsonElement? ParseSchema(string text)
    {
        try
        {
            using var document = JsonDocument.Parse(text);
            return document.RootElement.Clone();
        }
        catch (JsonException)
        {
            return null;
        }
    }
}
