using System.Text.Json;
using System.Text.Json.Serialization;
using LocalLlm.Requests;

namespace LocalLlm.Server.OpenAI;

/// <summary>
/// Reads the template variables of a chat: <c>chat_template_kwargs</c>, and the thinking switches that <c>reasoning_effort</c>,
/// <c>thinking</c> and <c>enable_thinking</c> set.
/// </summary>
internal static class TemplateVariables
{
    /// <summary>Parses the variables that a server sets for all chats.</summary>
    /// <param name="json">A JSON object, or null for none.</param>
    /// <exception cref="FormatException">The text is not a JSON object.</exception>
    public static IReadOnlyDictionary<string, JsonElement> Parse(string? json)
    {
        try
        {
            return json is null ? new Dictionary<string, JsonElement>() : JsonSerializer.Deserialize(json, VariablesJson.Default.DictionaryStringJsonElement) ?? throw new FormatException("null is no JSON object");
        }
        catch (JsonException)
        {
            throw new FormatException($"'{RequestErrors.Printable(json!)}' is no JSON object of template variables");
        }
    }

    /// <summary>Returns the variables, or null if there are none; records errors of form.</summary>
    /// <param name="fields">The request.</param>
    /// <param name="errors">Receives the errors.</param>
    /// <param name="thinking">The request's thinking setting, or null.</param>
    /// <param name="defaults">Default variables, which the request's own override.</param>
    public static Dictionary<string, JsonElement>? Read(JsonFields fields, RequestErrors errors, ThinkingSetting? thinking, IReadOnlyDictionary<string, JsonElement> defaults)
    {
        var variables = new Dictionary<string, JsonElement>(defaults, StringComparer.Ordinal);
        thinking?.AddTo(variables);
        if (fields.Json("chat_template_kwargs", JsonValueKind.Object, "an object of template variables") is { } given)
        {
            foreach (var member in given.EnumerateObject())
                variables[member.Name] = member.Value.Clone();
        }

        return variables.Count == 0 ? null : variables;
    }
}

/// <summary>Reads template variables.</summary>
[JsonSerializable(typeof(Dictionary<string, JsonElement>))]
internal sealed partial class VariablesJson : JsonSerializerContext;
