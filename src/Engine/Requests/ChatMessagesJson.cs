using System.Text.Json;

namespace LocalLlm.Requests;

/// <summary>
/// Converts earlier model output in a chat, in the forms that clients of several APIs keep, into the one form that the engine reads:
/// thoughts into <c>reasoning_content</c>, tool calls into <c>tool_calls</c>, tool results into messages of role <c>tool</c>. A lone
/// surrogate in such a message becomes U+FFFD, as .NET's own clients write it.
/// </summary>
public static class ChatMessagesJson
{
    /// <summary>Reads messages. An element that is not a message, or that repeats a member, is left unchanged.</summary>
    /// <param name="messages">A JSON array.</param>
    /// <param name="errors">Receives faults with their place in the request.</param>
    /// <returns>
    /// The messages for <see cref="Templating.ChatTemplateRequest.Messages"/>; they outlive the document of <paramref name="messages"/>.
    /// </returns>
    public static JsonElement Read(JsonElement messages, RequestErrors errors)
    {
        ArgumentNullException.ThrowIfNull(errors);
        return HistoryReader.Read(messages, errors);
    }

    /// <summary>Whether a model or a tool wrote the message.</summary>
    public static bool IsOfModel(JsonElement message) => HistoryReader.IsOfModel(message);
}
