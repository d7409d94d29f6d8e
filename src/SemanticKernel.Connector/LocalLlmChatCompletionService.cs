using System.Runtime.CompilerServices;
using LocalLlm.SemanticKernel;
using Microsoft.Extensions.AI;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Microsoft.SemanticKernel.ChatCompletion;

/// <summary>
/// The engine as a chat service. It calls kernel functions as the execution settings specify. Reasoning comes as
/// <see cref="ReasoningContent"/>; the finish reason and the usage are in the metadata (<c>FinishReason</c>, <c>Usage</c>).
/// </summary>
public sealed class LocalLlmChatCompletionService : IChatCompletionService
{
    private readonly IChatCompletionService _inner;

    /// <param name="client">A chat client over the engine, without function invocation of its own.</param>
    /// <param name="services">Provides filters and loggers; null: none.</param>
    public LocalLlmChatCompletionService(IChatClient client, IServiceProvider? services = null)
    {
        ArgumentNullException.ThrowIfNull(client);
        _inner = new ResponseAnnotations(client).AsBuilder()
            .UseKernelFunctionInvocation(services?.GetService<ILoggerFactory>())
            .Build(services)
            .AsChatCompletionService(services);
    }

    /// <inheritdoc/>
    public IReadOnlyDictionary<string, object?> Attributes => _inner.Attributes;

    /// <inheritdoc/>
    /// <exception cref="NotSupportedException">The history holds, or the settings ask for, what this service does not honour; it is
    /// named.</exception>
    /// <exception cref="LocalLlm.EngineException">The request is refused or fails.</exception>
    public async Task<IReadOnlyList<ChatMessageContent>> GetChatMessageContentsAsync(
        ChatHistory chatHistory, PromptExecutionSettings? executionSettings = null, Kernel? kernel = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(chatHistory);
        var known = chatHistory.Count;
        var prepared = HistoryItems.Prepare(chatHistory);
        var contents = await _inner.GetChatMessageContentsAsync(prepared, SettingsFields.ForChat(executionSettings), kernel, cancellationToken).ConfigureAwait(false);

        // The adapter has added the calls that it made to the history.
        TakeAdded(chatHistory, prepared);
        foreach (var added in chatHistory.Skip(known))
            FunctionNames.Restore(added);
        foreach (var content in contents)
        {
            FunctionNames.Restore(content);
            if (content.Metadata?.GetValueOrDefault(ResponseAnnotations.Reasoning) is string thought && !content.Items.OfType<ReasoningContent>().Any())
                content.Items.Insert(0, new ReasoningContent(thought));
        }

        return contents;
    }

    /// <inheritdoc/>
    public async IAsyncEnumerable<StreamingChatMessageContent> GetStreamingChatMessageContentsAsync(
        ChatHistory chatHistory, PromptExecutionSettings? executionSettings = null, Kernel? kernel = null, [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(chatHistory);
        var (calls, known) = (0, chatHistory.Count);
        var prepared = HistoryItems.Prepare(chatHistory);
        await foreach (var content in _inner.GetStreamingChatMessageContentsAsync(prepared, SettingsFields.ForChat(executionSettings), kernel, cancellationToken).ConfigureAwait(false))
        {
            TakeAdded(chatHistory, prepared);
            var functions = FunctionNames.Restore(content, ref calls);
            foreach (var added in functions is null ? [] : chatHistory.Skip(known))
                FunctionNames.Restore(added, functions!);
            if (content.Metadata?.GetValueOrDefault(ResponseAnnotations.Reasoning) is string thought && !content.Items.OfType<StreamingReasoningContent>().Any())
                content.Items.Insert(0, new StreamingReasoningContent(thought));
            yield return content;
        }

        TakeAdded(chatHistory, prepared);
    }

    // Copies messages that the adapter added to the prepared history to the caller's history.
    private static void TakeAdded(ChatHistory history, ChatHistory prepared)
    {
        if (!ReferenceEquals(history, prepared))
            history.AddRange(prepared.Skip(history.Count).ToArray());
    }
}
