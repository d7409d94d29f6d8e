namespace LocalLlm;

/// <summary>One piece of a stream: what is new since the previous piece.</summary>
public sealed record GenerationOutput
{
    /// <summary>The request's id.</summary>
    public required string RequestId { get; init; }

    /// <summary>Which of the request's <see cref="SamplingParams.N"/> sequences.</summary>
    public int Index { get; init; }

    /// <summary>New text: whole characters, and never a part of a stop string. Empty without a tokenizer.</summary>
    public string Text { get; init; } = "";

    /// <summary>New token ids.</summary>
    public IReadOnlyList<int> TokenIds { get; init; } = [];

    /// <summary>One for each new token, if requested.</summary>
    public IReadOnlyList<TokenLogprobs>? Logprobs { get; init; }

    /// <summary>On the first piece of sequence 0, if requested: one for each prompt token, null for the first.</summary>
    public IReadOnlyList<TokenLogprobs?>? PromptLogprobs { get; init; }

    /// <summary>The prompt's token ids.</summary>
    public IReadOnlyList<int> PromptTokenIds { get; init; } = [];

    /// <summary>Set on the sequence's last piece.</summary>
    public FinishReason? FinishReason { get; init; }

    /// <summary>The stop string that ended the output, if one did.</summary>
    public string? StopString { get; init; }

    /// <summary>The token id from <see cref="SamplingParams.StopTokenIds"/> that ended the output, if one did.</summary>
    public int? StopTokenId { get; init; }

    /// <summary>Why <see cref="FinishReason"/> is <see cref="FinishReason.Error"/>.</summary>
    public string? Error { get; init; }

    /// <summary>
    /// The cause behind <see cref="Error"/>, for the application and its log: it may hold details that a remote caller must not see.
    /// </summary>
    internal Exception? ErrorCause { get; init; }

    /// <summary>Token counts of this sequence, on its last piece.</summary>
    public TokenUsage? Usage { get; init; }

    /// <summary>Whether a limit, a stop string or a stop token ended the sequence rather than the model itself, perhaps in the middle of a
    /// tool call.</summary>
    internal bool IsCut => FinishReason == LocalLlm.FinishReason.Length || StopString is not null || StopTokenId is not null;

    /// <summary>Throws if this piece ends the sequence by failure or by the engine's shutdown.</summary>
    /// <exception cref="EngineException">GenerationFailed: the sequence failed. ShuttingDown: the engine shut down before it was
    /// finished.</exception>
    public void ThrowIfFailed()
    {
        if (FinishReason == LocalLlm.FinishReason.Error)
            throw new EngineException(EngineErrorKind.GenerationFailed, Error!, innerException: ErrorCause);
        if (FinishReason == LocalLlm.FinishReason.Abort)
            throw new EngineException(EngineErrorKind.ShuttingDown, "The engine shut down before the response was finished.");
    }
}
