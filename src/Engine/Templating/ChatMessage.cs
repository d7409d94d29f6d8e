using System.Text.Json;

namespace LocalLlm.Templating;

/// <summary>One message of a chat with text content.</summary>
/// <param name="Role"><c>system</c>, <c>user</c>, <c>assistant</c>, <c>tool</c>, or another role that the template knows.</param>
/// <param name="Content">The text, or null for an assistant's message that only calls tools.</param>
public sealed record ChatMessage(string Role, string? Content)
{
    /// <summary>The assistant's tool calls as in OpenAI's API: an array of <c>{id, type, function: {name, arguments}}</c>.</summary>
    public JsonElement? ToolCalls { get; init; }

    /// <summary>The id of the call that a <c>tool</c> message has the result of.</summary>
    public string? ToolCallId { get; init; }

    /// <summary>The name of the participant or tool.</summary>
    public string? Name { get; init; }

    /// <summary>The assistant's reasoning before its response.</summary>
    public string? ReasoningContent { get; init; }

    internal Dictionary<string, object?> ToJson()
    {
        var json = new Dictionary<string, object?> { ["role"] = Role, ["content"] = Content };
        if (ToolCalls is { } calls)
            json["tool_calls"] = calls;
        if (ToolCallId is not null)
            json["tool_call_id"] = ToolCallId;
        if (Name is not null)
            json["name"] = Name;
        if (ReasoningContent is not null)
            json["reasoning_content"] = ReasoningContent;
        return json;
    }
}
