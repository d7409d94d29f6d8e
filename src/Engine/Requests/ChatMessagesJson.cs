using System.Text.Json;

namespace LocalLlm.Requests;

/// <summary>
/// Brings what a model once produced, as clients of several APIs keep it, into the one form that the engine reads: thoughts into
/// <c>reasoning_content</c>, calls of tools into <c>tool_calls</c>, their results into messages of role <c>tool</c>. Half of a surrogate
/// pair in such a message becomes U+FFFD, as .NET's own clients write it.
/// </summary>
public static class ChatMessagesJson
{
    /// <summary>Reads messages; one that is no message, or that gives a member twice, stays as it is.</summary>
    /// <param name="messages">A list.</param>
    /// <param name="errors">Where faults go, with their place in the request.</param>
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
