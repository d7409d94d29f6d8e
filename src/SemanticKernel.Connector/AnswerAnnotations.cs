using Microsoft.Extensions.AI;

namespace LocalLlm.SemanticKernel;

/// <summary>
/// Writes down, where Semantic Kernel's adapter keeps it, what the adapter would drop: the finish reason and the thought, as <c>FinishReason</c> and <c>Reasoning</c> in the metadata of a message.
/// </summary>
internal sealed class AnswerAnnotations(IChatClient inner) : DelegatingChatClient(inner)
{
    public const string FinishReason = "FinishReason";
    public const string Reasoning = "Reasoning";

    /// <inheritdoc/>
    public override async Task<ChatResponse> GetResponseAsync(IEnumerable<ChatMessage> messages, ChatOptions? options = null, CancellationToken cancellationToken = default)
    {
        var response = await base.GetResponseAsync(messages, options, cancellationToken).ConfigureAwait(false);
        foreach (var message in response.Messages)
            message.AdditionalProperties = Annotated(message.AdditionalProperties, message.Contents, response.FinishReason);
        return response;
    }

    /// <inheritdoc/>
    public override async IAsyncEnumerable<ChatResponseUpdate> GetStreamingResponseAsync(
        IEnumerable<ChatMessage> messages, ChatOptions? options = null, [System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        await foreach (var update in base.GetStreamingResponseAsync(messages, options, cancellationToken).ConfigureAwait(false))
        {
            update.AdditionalProperties = Annotated(update.AdditionalProperties, update.Contents, update.FinishReason);
            yield return update;
        }
    }

    private static AdditionalPropertiesDictionary? Annotated(AdditionalPropertiesDictionary? properties, IList<AIContent> contents, ChatFinishReason? reason)
    {
        var thought = string.Concat(contents.OfType<TextReasoningContent>().Select(content => content.Text));
        if (reason is null && thought.Length == 0)
            return properties;
        properties = properties is null ? [] : new(properties);
        if (reason is { } given)
            properties[FinishReason] = given.Value;
        if (thought.Length > 0)
            properties[Reasoning] = thought;
        return properties;
    }
}
