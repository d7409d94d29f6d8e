using LocalLlm.Templating;

namespace LocalLlm;

/// <summary>
/// One request, as the caller gives it: exactly one of <see cref="Prompt"/>, <see cref="PromptTokenIds"/> and <see cref="Chat"/>.
/// </summary>
public sealed record GenerationRequest
{
    /// <summary>A text that is continued as it is, without a chat template.</summary>
    public string? Prompt { get; init; }

    /// <summary>Token ids that are continued.</summary>
    public IReadOnlyList<int>? PromptTokenIds { get; init; }

    /// <summary>A chat, rendered by the model's template; special tokens in the users' text stay text.</summary>
    public ChatTemplateRequest? Chat { get; init; }

    /// <summary>Whether the chat's tools must be called; null: <see cref="LocalLlm.ToolChoice.Auto"/>.</summary>
    public ToolChoice? ToolChoice { get; init; }

    /// <summary>How tokens are chosen.</summary>
    public SamplingParams Sampling { get; init; } = new();

    /// <summary>Whether a text prompt gets the tokenizer's own special tokens (a beginning-of-sequence token, say).</summary>
    public bool AddSpecialTokens { get; init; } = true;

    /// <summary>
    /// Shares cached prefixes only with requests of the same salt; null: with those that have none. At most 128 characters.
    /// </summary>
    public string? CacheSalt { get; init; }

    /// <summary>Lower goes first under <see cref="SchedulingPolicy.Priority"/>; else it must be 0.</summary>
    public int Priority { get; init; }

    /// <summary>
    /// Whether a request is refused whose prompt and <see cref="SamplingParams.MaxTokens"/> together exceed the context, as vLLM's server
    /// does. False: it ends there, with <see cref="FinishReason.Length"/>.
    /// </summary>
    public bool MustFitContext { get; init; }

    /// <summary>Whether it only asks for a sign of life, and is no part of what the meters count.</summary>
    internal bool IsProbe { get; init; }

    /// <summary>The tools whose schemas calls are held to, where they say more than those that the prompt describes; null: those.</summary>
    public System.Text.Json.JsonElement? HeldTools { get; init; }

    /// <summary>An id for logs and outputs; null: the engine makes one.</summary>
    public string? RequestId { get; init; }

    /// <summary>A plain text prompt.</summary>
    public static GenerationRequest FromText(string prompt, SamplingParams? sampling = null) => new() { Prompt = prompt, Sampling = sampling ?? new() };

    /// <summary>A chat.</summary>
    public static GenerationRequest FromChat(IEnumerable<ChatMessage> messages, SamplingParams? sampling = null) => new() { Chat = ChatTemplateRequest.FromMessages(messages), Sampling = sampling ?? new() };

    /// <summary>A prompt of token ids.</summary>
    public static GenerationRequest FromTokenIds(IReadOnlyList<int> ids, SamplingParams? sampling = null) => new() { PromptTokenIds = ids, Sampling = sampling ?? new() };
}
