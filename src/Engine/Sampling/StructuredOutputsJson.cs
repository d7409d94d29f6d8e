using System.Text.Json;

namespace LocalLlm.Sampling;

/// <summary>Reads vLLM's <c>structured_outputs</c> and OpenAI's <c>response_format</c>.</summary>
internal static class StructuredOutputsJson
{
    private const string Structured = "structured_outputs";
    private const string Format = "response_format";

    /// <summary>What the two fields ask for; null: nothing.</summary>
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

    private static StructuredOutputs? ReadFormat(JsonElement format, RequestErrors errors)
    {
        var type = format.ValueKind == JsonValueKind.Object && format.TryGetProperty("type", out var value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;
        switch (type)
        {
            case "text":
                return null;
            case "json_object":
                return new() { JsonObject = true, Field = Format };
            case "json_schema" when format.TryGetProperty("json_schema", out var named) && named.ValueKind == JsonValueKind.Object && named.TryGetProperty("schema", out var schema):
                return new() { Json = schema.Clone(), SchemaName = Text(named, "name", errors), SchemaDescription = Text(named, "description", errors), Field = Format };
            case "structural_tag":
                errors.AddUnsupported(Format);
                return null;
            case "json_schema":
                errors.Add($"{Format}.json_schema", "no schema", "an object with a schema");
                return null;
            default:
                errors.Add(Format, type ?? format.ValueKind.ToString(), "{\"type\": \"text\"}, {\"type\": \"json_object\"} or {\"type\": \"json_schema\", \"json_schema\": {\"schema\": …}}");
                return null;
        }
    }

    private static string? Text(JsonElement named, string field, RequestErrors errors)
    {
        if (!named.TryGetProperty(field, out var value) || value.ValueKind == JsonValueKind.Null)
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
