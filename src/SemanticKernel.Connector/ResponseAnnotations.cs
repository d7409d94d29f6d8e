using Microsoft.Extensions.AI;
using Microsoft.SemanticKernel;
using AICallContent = Microsoft.Extensions.AI.FunctionCallContent;

namespace LocalLlm.SemanticKernel;

/// <summary>
/// Saves what Semantic Kernel's adapter would drop in the metadata of messages, which the adapter keeps: the finish reason
/// (<c>FinishReason</c>), the reasoning (<c>Reasoning</c>) and the plugins of the called functions (<c>Functions</c>). In tools the adapter
/// names a function by plugin and name, in calls by name alone; this client gives calls the names of the tools.
/// </summary>
internal sealed class ResponseAnnotations(IChatClient inner) : DelegatingChatClient(inner)
{
    public const string FinishReason = "FinishReason";
    public const string Reasoning = "Reasoning";
    public const string Functions = "Functions";

    /// <inheritdoc/>
    public override async Task<ChatResponse> GetResponseAsync(IEnumerable<ChatMessage> messages, ChatOptions? options = null, CancellationToken cancellationToken = default)
    {
        options = SettingsFields.Restored(options);
        var functions = FunctionsOf(options);
        var response = await base.GetResponseAsync(Completed(Named(messages, functions), options), options, cancellationToken).ConfigureAwait(false);
        foreach (var message in response.Messages)
            message.AdditionalProperties = Annotated(message.AdditionalProperties, message.Contents, response.FinishReason, functions);
        return response;
    }

    /// <inheritdoc/>
    public override async IAsyncEnumerable<ChatResponseUpdate> GetStreamingResponseAsync(
        IEnumerable<ChatMessage> messages, ChatOptions? options = null, [System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        options = SettingsFields.Restored(options);
        var functions = FunctionsOf(options);
        await foreach (var update in base.GetStreamingResponseAsync(Completed(Named(messages, functions), options), options, cancellationToken).ConfigureAwait(false))
        {
            update.AdditionalProperties = Annotated(update.AdditionalProperties, update.Contents, update.FinishReason, functions);
            yield return update;
        }
    }

    // Adds what the adapter left in properties: reasoning of earlier responses, and the settings' prompts if the history has no message of
    // their role.
    private static IEnumerable<ChatMessage> Completed(IEnumerable<ChatMessage> messages, ChatOptions? options)
    {
        ChatMessage[] all = [.. messages.Select(WithThought)];
        return [.. Prompt(SettingsFields.SystemPrompt, ChatRole.System), .. Prompt(SettingsFields.DeveloperPrompt, new("developer")), .. all];

        ChatMessage[] Prompt(string name, ChatRole role) =>
            options?.AdditionalProperties?.GetValueOrDefault(name) is string prompt && !string.IsNullOrWhiteSpace(prompt) && !all.Any(message => message.Role == role) ? [new(role, prompt)] : [];
    }

    private static ChatMessage WithThought(ChatMessage message)
    {
        if (message.Role != ChatRole.Assistant || message.AdditionalProperties?.GetValueOrDefault(Reasoning) is not string thought || message.Contents.Any(content => content is TextReasoningContent))
            return message;
        var completed = message.Clone();
        completed.Contents = [new TextReasoningContent(thought), .. message.Contents];
        return completed;
    }

    // The functions by the names of their tools.
    private static Dictionary<string, KernelFunction> FunctionsOf(ChatOptions? options) =>
        options?.Tools?.OfType<KernelFunction>().DistinctBy(function => ((AITool)function).Name).ToDictionary(function => ((AITool)function).Name, StringComparer.Ordinal) ?? [];

    private static IEnumerable<ChatMessage> Named(IEnumerable<ChatMessage> messages, Dictionary<string, KernelFunction> functions) =>
        functions.Count == 0 ? messages : messages.Select(message => message.Contents.Any(content => ToolOf(content, functions) is not null) ? Named(message, functions) : message);

    private static ChatMessage Named(ChatMessage message, Dictionary<string, KernelFunction> functions)
    {
        var named = message.Clone();
        named.Contents = [.. message.Contents.Select(content => ToolOf(content, functions) is { } tool && content is AICallContent call
            ? new AICallContent(call.CallId, tool, call.Arguments) { AdditionalProperties = call.AdditionalProperties, RawRepresentation = call.RawRepresentation }
            : content)];
        return named;
    }

    // The tool meant by a call that has only the function's name; null: not such a call, or several tools have that name.
    private static string? ToolOf(AIContent content, Dictionary<string, KernelFunction> functions)
    {
        if (content is not AICallContent call || functions.ContainsKey(call.Name))
            return null;

        // A call that this library created knows its tool.
        if ((call.RawRepresentation as AICallContent)?.Name is { } own && functions.ContainsKey(own))
            return own;
        var tools = functions.Where(pair => pair.Value.Name == call.Name).Take(2).ToArray();
        return tools.Length == 1 ? tools[0].Key : null;
    }

    private static AdditionalPropertiesDictionary? Annotated(AdditionalPropertiesDictionary? properties, IList<AIContent> contents, ChatFinishReason? reason, Dictionary<string, KernelFunction> functions)
    {
        var thought = string.Concat(contents.OfType<TextReasoningContent>().Select(content => content.Text));
        var calls = contents.OfType<AICallContent>().Any(call => functions.ContainsKey(call.Name));
        if (reason is null && thought.Length == 0 && !calls)
            return properties;
        properties = properties is null ? [] : new(properties);
        if (reason is { } given)
            properties[FinishReason] = given.Value;
        if (thought.Length > 0)
            properties[Reasoning] = thought;
        if (calls)
            properties[Functions] = functions;
        return properties;
    }
}
