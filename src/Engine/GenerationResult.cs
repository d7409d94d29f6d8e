namespace LocalLlm;

/// <summary>One finished sequence of a request.</summary>
public sealed record CompletionOutput
{
    /// <summary>Which of the request's <see cref="SamplingParams.N"/> sequences.</summary>
    public required int Index { get; init; }

    /// <summary>The whole text.</summary>
    public required string Text { get; init; }

    /// <summary>All token ids, including an end-of-sequence token.</summary>
    public required IReadOnlyList<int> TokenIds { get; init; }

    /// <summary>One for each token, if requested.</summary>
    public IReadOnlyList<TokenLogprobs>? Logprobs { get; init; }

    /// <summary>Why the sequence ended.</summary>
    public required FinishReason FinishReason { get; init; }

    /// <summary>The stop string that ended the sequence, if one did.</summary>
    public string? StopString { get; init; }

    /// <summary>The stop token that ended the sequence, if one did.</summary>
    public int? StopTokenId { get; init; }
}

/// <summary>A finished request: vLLM's <c>RequestOutput</c>.</summary>
public sealed record GenerationResult
{
    /// <summary>The request's id.</summary>
    public required string RequestId { get; init; }

    /// <summary>The prompt's token ids.</summary>
    public IReadOnlyList<int> PromptTokenIds { get; init; } = [];

    /// <summary>If requested: one for each prompt token, null for the first.</summary>
    public IReadOnlyList<TokenLogprobs?>? PromptLogprobs { get; init; }

    /// <summary>The sequences in index order; empty if <see cref="Error"/> is set.</summary>
    public IReadOnlyList<CompletionOutput> Outputs { get; init; } = [];

    /// <summary>Why the request was refused or failed, or null.</summary>
    public EngineException? Error { get; init; }

    /// <summary>Token counts over all sequences; the prompt counts once.</summary>
    public TokenUsage Usage { get; init; }
}
