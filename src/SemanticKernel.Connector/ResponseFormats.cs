using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.Extensions.AI;

namespace Microsoft.SemanticKernel;

/// <summary>Reads the forms in which users of Semantic Kernel write a response format.</summary>
internal static class ResponseFormats
{
    private const string Allowed =
        "\"text\", \"json_object\", a System.Type, a JSON schema or an object of OpenAI's response_format (as JsonElement, JsonDocument, JsonNode, "
        + "dictionary or JSON text), or a Microsoft.Extensions.AI.ChatResponseFormat";

    /// <summary>Returns the format that a value stands for.</summary>
    /// <exception cref="NotSupportedException">The value is not a response format.</exception>
    public static ChatResponseFormat Of(object value) => value switch
    {
        ChatResponseFormat format => format,
        "text" => ChatResponseFormat.Text,
        "json_object" => ChatResponseFormat.Json,
        string text => OfText(text),
        // With JsonSerializer's default property names, as in Semantic Kernel's own connectors.
        Type type => ChatResponseFormat.ForJsonSchema(type, JsonSerializerOptions.Default),
        JsonElement element => OfJson(element),
        JsonDocument document => OfJson(document.RootElement),
        JsonNode or System.Collections.IDictionary or IReadOnlyDictionary<string, object?> => OfJson(JsonSerializer.SerializeToElement(value, AIJsonUtilities.DefaultOptions)),
        _ => throw Refused(value.GetType().FullName!),
    };

    private static ChatResponseFormat OfText(string text)
    {
        try
        {
            using var document = JsonDocument.Parse(text);
            return OfJson(document.RootElement);
        }
        catch (JsonException)
        {
            throw Refused($"\"{text}\"");
        }
    }

    // OpenAI's object, or the schema itself.
    private static ChatResponseFormat OfJson(JsonElement element)
    {
        if (element.ValueKind == JsonValueKind.String)
            return Of(element.GetString()!);
        if (element.ValueKind != JsonValueKind.Object)
            throw Refused($"JSON {element.ValueKind.ToString().ToLowerInvariant()}");
        var type = element.TryGetProperty("type", out var given) && given.ValueKind == JsonValueKind.String ? given.GetString() : null;
        switch (type)
        {
            case "text":
                return ChatResponseFormat.Text;
            case "json_object":
                return ChatResponseFormat.Json;
            case "json_schema" when element.TryGetProperty("json_schema", out var named) && named.ValueKind == JsonValueKind.Object && named.TryGetProperty("schema", out var schema):
                return ChatResponseFormat.ForJsonSchema(schema.Clone());
            case "json_schema":
                throw Refused("{\"type\": \"json_schema\"} without json_schema.schema");
            default:
                return ChatResponseFormat.ForJsonSchema(element.Clone());
        }
    }

    private static NotSupportedException Refused(string given) => new($"response_format is {given}; allowed are {Allowed}.");
}
