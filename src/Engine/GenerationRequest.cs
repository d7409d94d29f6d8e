using LocalLlm.Templating;

namespace LocalLlm;

/// <summary>
/// One request as the caller states it. Set exactly one of <see cref="Prompt"/>, <see cref="PromptTokenIds"/> and <see cref="Chat"/>.
/// </summary>
public sealed record GenerationRequest
{
    /// <summary>A text to continue as it is, without a chat template.</summary>
    public string? Prompt { get; init; }

    /// <summary>Token ids to continue.</summary>
    public IReadOnlyList<int>? PromptTokenIds { get; init; }

    /// <summary>A chat, rendered by the model's template; special tokens in the users' text are treated as text.</summary>
    public ChatTemplateRequest? Chat { get; init; }

    /// <summary>Whether the model may or must call the chat's tools; null: <see cref="LocalLlm.ToolChoice.Auto"/>.</summary>
    public ToolChoice? ToolChoice { get; init; }

    /// <summary>How tokens are chosen.</summary>
    public SamplingParams Sampling { get; init; } = new();

    /// <summary>Whether to add the tokenizer's own special tokens to a text prompt (such as a beginning-of-sequence token).</summary>
    public bool AddSpecialTokens { get; init; } = true;

    /// <summary>
    /// Shares cached prefixes only with requests that have the same salt; null: with requests that have none. At most 128 characters.
    /// </summary>
    public string? CacheSalt { get; init; }

    /// <summary>Lower values run first under <see cref="SchedulingPolicy.Priority"/>; under other policies it must be 0.</summary>
    public int Priority { get; init; }

    /// <summary>
    /// Whether to refuse a request whose prompt and <see cref="SamplingParams.MaxTokens"/> together exceed the context, as vLLM's server
    /// does. False: the output ends at the context's limit, with <see cref="FinishReason.Length"/>.
    /// </summary>
    public bool MustFitContext { get; init; }

    /// <summary>Whether the request only checks that the engine works. Metrics leave such requests out.</summary>
    internal bool IsProbe { get; init; }

    /// <summary>
    /// Tools whose schemas constrain calls, if these are stricter than the schemas in the prompt; null: those in the prompt.
    /// </summary>
    public System.Text.Json.JsonElement? HeldTools { get; init; }

    /// <summary>An id for logs and outputs; null: the engine creates one.</summary>
    public string? RequestId { get; init; }

    /// <summary>A plain text prompt.</summary>
    public static GenerationRequest FromText(string prompt, SamplingParams? sampling = null) => new() { Prompt = prompt, Sampling = sampling ?? new() };

    /// <summary>A chat.</summary>
    public static GenerationRequest FromChat(IEnumerable<ChatMessage> messages, SamplingParams? sampling = null) => new() { Chat = ChatTemplateRequest.FromMessages(messages), Sampling = sampling ?? new() };

    /// <summary>A prompt of token ids.</summary>
    public static GenerationRequest FromTokenIds(IReadOnlyList<int> ids, SamplingParams? sampling = null) => new() { PromptTokenIds = ids, Sampling = sampling ?? new() };
}
