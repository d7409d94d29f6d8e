using Microsoft.SemanticKernel;

namespace LocalLlm.SemanticKernel;

/// <summary>Gives the calls in messages of Semantic Kernel's adapter their plugins: the adapter knows tools by one name only.</summary>
internal static class FunctionNames
{
    private const string Separator = "-"; // as FunctionCallContentBuilder reads it

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

    /// <summary>Names the calls in a part of a message as <see cref="FunctionCallContentBuilder"/> reads them, and numbers them.</summary>
    /// <param name="message">The part.</param>
    /// <param name="index">Calls before it; afterwards also those in it.</param>
    /// <returns>The functions by the names of their tools; null: there is no call in it.</returns>
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
