using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using LocalLlm.Jinja;

namespace LocalLlm.Requests;

/// <summary>Reads the messages of one chat for <see cref="ChatMessagesJson"/>.</summary>
internal sealed class HistoryReader
{
    private const string Content = "content";

    // Deeper than any reader of request bodies or lines accepts.
    private const int MaxDepth = 256;

    private readonly RequestErrors _errors;
    private readonly List<string> _messages = []; // as JSON text

    // Calls from function_call that have no result from a message of role function yet.
    private readonly Queue<(string Name, string Id)> _unanswered = new();

    private HistoryReader(RequestErrors errors) => _errors = errors;

    /// <summary>How to write JSON into text that the model reads.</summary>
    public static JsonSerializerOptions Written { get; } = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, TypeInfoResolver = NodeJson.Default };

    /// <inheritdoc cref="ChatMessagesJson.Read"/>
    public static JsonElement Read(JsonElement messages, RequestErrors errors)
    {
        var history = new HistoryReader(errors);
        var index = 0;
        foreach (var message in messages.EnumerateArray())
            history.Add(message, string.Create(CultureInfo.InvariantCulture, $"messages[{index++}]"));
        using var document = JsonDocument.Parse($"[{string.Join(',', history._messages)}]", new() { MaxDepth = MaxDepth });
        return document.RootElement.Clone();
    }

    /// <inheritdoc cref="ChatMessagesJson.IsOfModel"/>
    public static bool IsOfModel(JsonElement message) => RoleOf(message) is "assistant" or "tool" or "function";

    private static string? RoleOf(JsonElement message) =>
        message.ValueKind == JsonValueKind.Object && message.TryGetProperty("role", out var role) && role.ValueKind == JsonValueKind.String ? LoneSurrogates.TextOf(role) : null;

    private void Add(JsonElement element, string where)
    {
        var raw = element.GetRawText();
        var role = RoleOf(element);
        var isOfModel = IsOfModel(element);
        if (!isOfModel && !(role == "user" && HasResults(element)))
        {
            if (role is "system" or "developer" or "user")
                RequireContent(element, where);
            _messages.Add(raw);
            return;
        }

        var text = SurrogateHalves.Replace(raw);
        if ((!isOfModel && text != raw) || Parse(text) is not { } message)
            _messages.Add(raw);
        else if (role == "assistant")
            AddAssistant(message, where);
        else if (role == "function")
            AddFunction(message, where);
        else
            AddResults(message, where);
    }

    private static JsonObject? Parse(string json)
    {
        try
        {
            return JsonNode.Parse(json, documentOptions: new() { MaxDepth = MaxDepth, AllowDuplicateProperties = false }) as JsonObject;
        }
        catch (JsonException)
        {
            // A member occurs twice. The code that reads the messages refuses it.
            return null;
        }
    }

    private void RequireContent(JsonElement message, string where)
    {
        if (!message.TryGetProperty(Content, out var content) || content.ValueKind == JsonValueKind.Null)
            _errors.Add($"{where}.{Content}", "nothing", "a text or a list of text parts");
    }

    private static bool HasResults(JsonElement message) =>
        message.TryGetProperty(Content, out var content) && content.ValueKind == JsonValueKind.Array
        && content.EnumerateArray().Any(part => part.ValueKind == JsonValueKind.Object && part.TryGetProperty("type", out var type) && type.ValueKind == JsonValueKind.String && HistoryParts.IsResult(LoneSurrogates.TextOf(type)));

    private void Write(JsonObject message) => _messages.Add(message.ToJsonString(Written));

    private void AddAssistant(JsonObject message, string where)
    {
        var parts = new HistoryParts(_errors);
        if (message[Content] is JsonArray content)
            message[Content] = parts.Take(content, $"{where}.{Content}");
        foreach (var name in (string[])["reasoning", "reasoning_content"])
        {
            if (message[name] is { } value && HistoryParts.Text(value) is null)
                message[name] = HistoryParts.ThoughtOf(value);
        }

        if (parts.Thought.Length > 0 && IsEmpty(message["reasoning"]) && IsEmpty(message["reasoning_content"]))
        {
            message.Remove("reasoning");
            message["reasoning_content"] = parts.Thought;
        }

        var calls = new HistoryCalls(_errors);
        calls.Read(message["tool_calls"], $"{where}.tool_calls");
        message.Remove("tool_calls");
        calls.AddRange(parts.Calls);
        if (calls.ReadFunction(message["function_call"], $"{where}.function_call", string.Create(CultureInfo.InvariantCulture, $"call_{_messages.Count}")) is { } function)
            _unanswered.Enqueue(function);
        message.Remove("function_call");
        if (calls.Calls.Count > 0)
            message["tool_calls"] = calls.Calls;
        Write(message);
        foreach (var result in parts.Results)
            Write(result);
    }

    private void AddFunction(JsonObject message, string where)
    {
        message["role"] = "tool";
        if (IsEmpty(message["tool_call_id"]) && _unanswered.TryDequeue(out var call))
            message["tool_call_id"] = call.Id;
        Write(message);
    }

    // For a message of role tool, or of a user whose other parts follow the results.
    private void AddResults(JsonObject message, string where)
    {
        HistoryCalls.TakeId(message, "tool_call_id", where, _errors);
        if (message[Content] is not JsonArray content)
        {
            Write(message);
            return;
        }

        var parts = new HistoryParts(_errors);
        var rest = parts.Take(content, $"{where}.{Content}", thoughts: false);
        foreach (var result in parts.Results)
            Write(result);
        if (parts.Results.Count > 0 && rest.Count == 0)
            return;
        message[Content] = rest;
        Write(message);
    }

    private static bool IsEmpty(JsonNode? value) => value is null || HistoryParts.Text(value) is "";
}

/// <summary>Writes JSON trees.</summary>
[System.Text.Json.Serialization.JsonSerializable(typeof(JsonArray))]
internal sealed partial class NodeJson : System.Text.Json.Serialization.JsonSerializerContext;
