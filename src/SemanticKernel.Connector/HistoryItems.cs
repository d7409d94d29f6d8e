using LocalLlm.SemanticKernel;
using Microsoft.SemanticKernel.ChatCompletion;

namespace Microsoft.SemanticKernel;

/// <summary>
/// Prepares a history for Semantic Kernel's adapter, which would silently drop thoughts and other items.
/// <c>docs/guides/semantic-kernel.md</c> has a table with the rule for every kind of item.
/// </summary>
internal static class HistoryItems
{
    /// <summary>
    /// Returns the same history, or a copy that keeps thoughts in the messages' metadata, where <see cref="ResponseAnnotations"/> finds
    /// them.
    /// </summary>
    /// <exception cref="NotSupportedException">Text cannot represent an item; the message names its kind and place.</exception>
    public static ChatHistory Prepare(ChatHistory history)
    {
        var hasThoughts = false;
        for (var i = 0; i < history.Count; i++)
        {
            foreach (var item in history[i].Items)
            {
                hasThoughts |= item is ReasoningContent;
                if (!IsTaken(item))
                {
                    throw new NotSupportedException(
                        $"Message {i} of the chat history holds {item.GetType().Name}, which this text model cannot read; remove it, or put its text in "
                        + "its place. Taken are text, thoughts, calls of functions and their results, and binary content of a text type.");
                }
            }
        }

        return hasThoughts ? [.. history.Select(WithThought)] : history;
    }

    private static bool IsTaken(KernelContent item) => item switch
    {
        TextContent or ReasoningContent or FunctionCallContent or FunctionResultContent => true,
        // The chat client accepts data of a text type and refuses other data by name. An item with neither a URI nor data would be dropped
        // on the way.
        BinaryContent binary => binary.Uri is not null || binary.DataUri is not null,
        _ => false,
    };

    private static ChatMessageContent WithThought(ChatMessageContent message)
    {
        var thought = string.Concat(message.Items.OfType<ReasoningContent>().Select(item => item.Text));
        if (thought.Length == 0)
            return message;
        Dictionary<string, object?> metadata = message.Metadata?.ToDictionary(pair => pair.Key, pair => pair.Value) ?? [];
        metadata[ResponseAnnotations.Reasoning] = thought;
        return new(message.Role, message.Items, message.ModelId, message.InnerContent, message.Encoding, metadata) { AuthorName = message.AuthorName };
    }
}
