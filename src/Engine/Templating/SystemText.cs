using LocalLlm.Jinja;

namespace LocalLlm.Templating;

/// <summary>The system text at the beginning of a chat.</summary>
internal static class SystemText
{
    /// <summary>Whether a message belongs to the system text.</summary>
    public static bool IsSystem(object? message) => (message as PyDict)?.Get("role") is "system" or "developer";

    /// <summary>A chat with <paramref name="text"/> appended to its system text. A chat without one gets a system message. Neither the list
    /// nor its messages are changed.</summary>
    /// <param name="messages">The chat.</param>
    /// <param name="text">The text.</param>
    public static List<object?> Append(List<object?> messages, string text)
    {
        var count = messages.TakeWhile(IsSystem).Count();
        if (count == 0)
            return [new PyDict { ["role"] = "system", ["content"] = text }, .. messages];
        var system = ((PyDict)messages[count - 1]!).Copy();
        system["content"] = system.Get("content") switch
        {
            List<object?> parts => new List<object?>([.. parts, new PyDict { ["type"] = "text", ["text"] = text }]),
            string content => content + text,
            _ => text.TrimStart('\n'),
        };
        return [.. messages[..(count - 1)], system, .. messages[count..]];
    }
}
