using System.Runtime.CompilerServices;
using Microsoft.Extensions.AI;

namespace LocalLlm.Extensions.AI;

/// <summary>
/// <see cref="IChatClient"/> over the engine. Stateless and safe for concurrent requests; the engine's life is its own, so disposing
/// the client does nothing. Text in, text out: tools, structured output and reasoning content are refused by name.
/// </summary>
public sealed class LocalLlmChatClient : IChatClient
{
    private const string ProviderName = "localllm";
    private readonly Func<CancellationToken, Task<LlmEngine>> _engine;
    private readonly Func<LlmEngine?> _loaded;
    private readonly ChatClientMetadata _metadata;

    /// <param name="engine">Gives the engine, loading it if need be.</param>
    /// <param name="loaded">The engine if it is loaded by now, or null.</param>
    /// <param name="modelId">The name of the model.</param>
    internal LocalLlmChatClient(Func<CancellationToken, Task<LlmEngine>> engine, Func<LlmEngine?> loaded, string? modelId)
    {
        _engine = engine;
        _loaded = loaded;
        _metadata = new(ProviderName, providerUri: null, modelId);
    }

    /// <inheritdoc/>
    /// <exception cref="ArgumentNullException"><paramref name="messages"/> is null.</exception>
    /// <exception cref="NotSupportedException">The messages or options ask for what this client does not do.</exception>
    /// <exception cref="EngineException">The request is refused or fails.</exception>
    public async Task<ChatResponse> GetResponseAsync(IEnumerable<ChatMessage> messages, ChatOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(messages);
        return await GetStreamingResponseAsync(messages, options, cancellationToken).ToChatResponseAsync(cancellationToken).ConfigureAwait(false);
    }

    /// <inheritdoc/>
    /// <exception cref="ArgumentNullException"><paramref name="messages"/> is null.</exception>
    /// <exception cref="NotSupportedException">The messages or options ask for what this client does not do.</exception>
    /// <exception cref="EngineException">The request is refused or fails.</exception>
    public IAsyncEnumerable<ChatResponseUpdate> GetStreamingResponseAsync(IEnumerable<ChatMessage> messages, ChatOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(messages);
        ChatRequestMapping.CheckModelId(options?.ModelId, _metadata.DefaultModelId);
        var request = ChatRequestMapping.ToRequest(messages, options);
        return StreamAsync(request, cancellationToken);
    }

    /// <inheritdoc/>
    public object? GetService(Type serviceType, object? serviceKey = null)
    {
        ArgumentNullException.ThrowIfNull(serviceType);
        if (serviceKey is not null)
            return null;
        if (serviceType == typeof(ChatClientMetadata))
            return _metadata;
        if (serviceType == typeof(LlmEngine))
            return _loaded();
        return serviceType.IsInstanceOfType(this) ? this : null;
    }

    /// <summary>Does nothing: the engine belongs to whoever loaded it.</summary>
    public void Dispose()
    {
    }

    private async IAsyncEnumerable<ChatResponseUpdate> StreamAsync(GenerationRequest request, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        var engine = await _engine(cancellationToken).ConfigureAwait(false);
        var id = Guid.NewGuid().ToString("N");
        var createdAt = DateTimeOffset.UtcNow;
        await foreach (var output in engine.GenerateAsync(request, cancellationToken).ConfigureAwait(false))
        {
            if (output.FinishReason == FinishReason.Error)
                throw new EngineException(EngineErrorKind.GenerationFailed, output.Error!);
            if (output.FinishReason == FinishReason.Abort)
                throw new EngineException(EngineErrorKind.ShuttingDown, "The engine shut down before the answer was finished.");
            var update = new ChatResponseUpdate(ChatRole.Assistant, output.Text)
            {
                ResponseId = id,
                MessageId = id,
                ModelId = engine.ModelName,
                CreatedAt = createdAt,
                FinishReason = ToFinishReason(output.FinishReason),
                RawRepresentation = output,
            };
            if (output.Usage is { } usage)
                update.Contents.Add(new UsageContent(ToUsage(usage)));
            yield return update;
        }
    }

    private static ChatFinishReason? ToFinishReason(FinishReason? reason) => reason switch
    {
        null => null,
        FinishReason.Length => ChatFinishReason.Length,
        _ => ChatFinishReason.Stop,
    };

    private static UsageDetails ToUsage(TokenUsage usage) => new()
    {
        InputTokenCount = usage.PromptTokens,
        OutputTokenCount = usage.CompletionTokens,
        TotalTokenCount = usage.TotalTokens,
        CachedInputTokenCount = usage.CachedTokens,
    };
}
