using LocalLlm.Extensions.AI;
using Microsoft.Extensions.AI;

namespace LocalLlm.Tests;

/// <summary>Records the prompt that the real model receives: sends each request to the engine for one token and keeps the token ids of the
/// last prompt.</summary>
internal sealed class Prompts(LlmEngine engine) : DelegatingChatClient(engine.AsIChatClient())
{
    /// <summary>The last request's prompt, including special tokens.</summary>
    public string Last { get; private set; } = "";

    public static async Task<string> Of(LlmEngine engine, IEnumerable<ChatMessage> messages, ChatOptions? options = null, CancellationToken cancellationToken = default)
    {
        using var client = new Prompts(engine);
        await client.GetResponseAsync(messages, options, cancellationToken);
        return client.Last;
    }

    public override async Task<ChatResponse> GetResponseAsync(IEnumerable<ChatMessage> messages, ChatOptions? options = null, CancellationToken cancellationToken = default) =>
        await GetStreamingResponseAsync(messages, options, cancellationToken).ToChatResponseAsync(cancellationToken);

    public override async IAsyncEnumerable<ChatResponseUpdate> GetStreamingResponseAsync(
        IEnumerable<ChatMessage> messages, ChatOptions? options = null, [System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        var one = options?.Clone() ?? new();
        one.MaxOutputTokens = 1;
        await foreach (var update in base.GetStreamingResponseAsync(messages, one, cancellationToken))
        {
            Last = engine.Tokenizer!.Decode(((GenerationOutput)update.RawRepresentation!).PromptTokenIds);
            yield return update;
        }
    }
}
