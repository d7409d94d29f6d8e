using Microsoft.SemanticKernel;

namespace LocalLlm.SemanticKernel;

/// <summary>Restores the plugin names of calls in messages from Semantic Kernel's adapter, which knows tools by a single name.</summary>
internal static class FunctionNames
{
    private const string Separator = "-"; // the separator that FunctionCallContentBuilder expects

    /// <summary>Puts plugin and function into the calls of a message.</summary>
    public static void Restore(ChatMessageContent message)
    {
        if (message.Metadata?.GetValueOrDefault(ResponseAnnotations.Functions) is not Dictionary<string, KernelFunction> functions)
            return;
        Restore(message, functions);
        message.Metadata = Without(message.Metadata);
    }

    /// <summary>Puts plugin and function into the calls of a message.</summary>
    public static void Restore(ChatMessageContent message, IReadOnlyDictionary<string, KernelFunction> functions)
    {
        for (var i = 0; i < message.Items.Count; i++)
        {
            if (message.Items[i] is FunctionCallContent { PluginName: null } call && functions.TryGetValue(call.FunctionName, out var function))
                message.Items[i] = new FunctionCallContent(function.Name, function.PluginName, call.Id, call.Arguments) { InnerContent = call.InnerContent, Metadata = call.Metadata, Exception = call.Exception };
        }
    }

    /// <summary>
    /// Numbers the calls in a part of a message, and names them in the format that <see cref="FunctionCallContentBuilder"/> expects.
    /// </summary>
    /// <param name="message">The part of the message.</param>
    /// <param name="index">Number of calls before the part; increased by the calls in the part.</param>
    /// <returns>The functions by the names of their tools; null if the part has no call.</returns>
    public static IReadOnlyDictionary<string, KernelFunction>? Restore(StreamingChatMessageContent message, ref int index)
    {
        if (message.Metadata?.GetValueOrDefault(ResponseAnnotations.Functions) is not Dictionary<string, KernelFunction> functions)
            return null;
        for (var i = 0; i < message.Items.Count; i++)
        {
            if (message.Items[i] is not StreamingFunctionCallUpdateContent { Name: { } name } call || !functions.TryGetValue(name, out var function))
                continue;
            message.Items[i] = new StreamingFunctionCallUpdateContent(call.CallId, function.PluginName is null ? function.Name : $"{function.PluginName}{Separator}{function.Name}", call.Arguments, index++)
            {
                InnerContent = call.InnerContent, Metadata = call.Metadata, ModelId = call.ModelId,
            };
        }

        message.Metadata = Without(message.Metadata);
        return functions;
    }

    private static Dictionary<string, object?> Without(IReadOnlyDictionary<string, object?> metadata) =>
        metadata.Where(pair => pair.Key != ResponseAnnotations.Functions).ToDictionary(pair => pair.Key, pair => pair.Value);
}
