using System.Runtime.CompilerServices;
using LocalLlm.Requests;
using Microsoft.Extensions.AI;
using ChatMessage = Microsoft.Extensions.AI.ChatMessage;

namespace LocalLlm.Extensions.AI;

/// <summary>
/// <see cref="IChatClient"/> over the engine. Stateless and safe for concurrent requests. The client does not own the engine, so disposing
/// the client does nothing. Reasoning comes as <see cref="TextReasoningContent"/>, tool calls as complete
/// <see cref="FunctionCallContent"/>, which the caller or <see cref="FunctionInvokingChatClient"/> invokes. The client refuses by name what
/// it cannot honour.
/// </summary>
public sealed class LocalLlmChatClient : IChatClient
{
    private const string ProviderName = "localllm";
    private readonly Func<CancellationToken, Task<LlmEngine>> _engine;
    private readonly Func<LlmEngine?> _loaded;
    private readonly ChatClientMetadata _metadata;

    /// <param name="engine">Returns the engine, loading it if needed.</param>
    /// <param name="loaded">Returns the engine if it is loaded, or null.</param>
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
        var updates = await GetStreamingResponseAsync(messages, options, cancellationToken).ToListAsync(cancellationToken).ConfigureAwait(false);
        var response = updates.ToChatResponse();
        // The log-probabilities of all updates, not only the last one's.
        var logprobs = updates.SelectMany(update => update.AdditionalProperties?[ChatResponseStream.LogprobsProperty] as IReadOnlyList<TokenLogprobs> ?? []).ToArray();
        if (logprobs.Length > 0)
            (response.AdditionalProperties ??= [])[ChatResponseStream.LogprobsProperty] = logprobs;
        return response;
    }

    /// <inheritdoc/>
    /// <exception cref="ArgumentNullException"><paramref name="messages"/> is null.</exception>
    /// <exception cref="NotSupportedException">The messages or options ask for what this client does not do.</exception>
    /// <exception cref="EngineException">The request is refused or fails.</exception>
    public IAsyncEnumerable<ChatResponseUpdate> GetStreamingResponseAsync(IEnumerable<ChatMessage> messages, ChatOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(messages);
        ChatRequestMapping.CheckModelId(options?.ModelId, _metadata.DefaultModelId);
        var request = ChatRequestMapping.ToRequest(messages, options, this, out var wishedBudget);
        // The caller may change its options while the response is generated.
        return StreamAsync(request, wishedBudget, options?.Clone(), cancellationToken);
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

    private async IAsyncEnumerable<ChatResponseUpdate> StreamAsync(GenerationRequest request, int? wishedBudget, ChatOptions? options, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        var engine = await _engine(cancellationToken).ConfigureAwait(false);
        // An effort is a wish: for a model that does not think, it is dropped. An explicit budget is kept, and the engine refuses it.
        request = request with { Sampling = ThinkingSetting.Limit(request.Sampling, wishedBudget, engine.CanEndThoughts) };
        var response = new ChatResponseStream(engine, options, request);
        await foreach (var output in engine.GenerateAsync(request, cancellationToken).ConfigureAwait(false))
        {
            if (response.Next(output) is { } update)
                yield return update;
            if (response.IsComplete)
                yield break;
        }
    }
}
