using LocalLlm.Sampling;

namespace LocalLlm.Scheduling;

/// <summary>The output side of one sequence: its text, and what has not been sent yet.</summary>
internal sealed class LiveSequence(LiveRequest request, int index, Sequence sequence)
{
    private readonly TextStream? _text = request.Sampling.Detokenize ? request.CreateText?.Invoke() : null;
    private readonly List<int> _newTokens = [];
    private List<TokenLogprobs>? _newLogprobs;
    private List<TokenLogprobs?>? _promptLogprobs = request.Sampling.PromptLogprobs is not null && index == 0 ? [null] : null;
    private string _newText = "";
    private int? _stopTokenId;

    /// <summary>The sequence's request.</summary>
    public LiveRequest Request { get; } = request;

    /// <summary>The scheduler's view of the sequence.</summary>
    public Sequence Sequence { get; } = sequence;

    /// <summary>Whether the sequence's last piece was sent.</summary>
    public bool IsFinished { get; private set; }

    /// <summary>Why the sequence ended, once it has: the scheduler's reason, unless the text ended it (by a stop string).</summary>
    public FinishReason? FinishReason { get; private set; }

    /// <summary>Number of output tokens so far.</summary>
    public int NumOutputTokens { get; private set; }

    /// <summary>Timestamp of the latest token, or null before the first.</summary>
    public long? LastTokenTimestamp { get; set; }

    /// <summary>Why the sequence failed, once it has, in words for its caller.</summary>
    public EngineException? Failure { get; private set; }

    /// <summary>
    /// Stores log-probabilities of prompt tokens from index <paramref name="first"/> on. After a preemption they are set again.
    /// </summary>
    public void SetPromptLogprobs(int first, IReadOnlyList<TokenLogprobs> logprobs)
    {
        if (_promptLogprobs is null)
            return;
        _promptLogprobs.RemoveRange(first, _promptLogprobs.Count - first);
        _promptLogprobs.AddRange(logprobs.Select(Decode));
    }

    /// <summary>Appends tokens that the scheduler has accepted, up to the one that completes a stop string.</summary>
    /// <param name="tokens">The tokens, with their log-probabilities.</param>
    public void Append(ReadOnlySpan<SampledToken> tokens)
    {
        for (var i = 0; i < tokens.Length; i++)
        {
            var token = tokens[i];
            _newTokens.Add(token.TokenId);
            NumOutputTokens++;
            if (token.Logprobs is { } logprobs)
                (_newLogprobs ??= []).Add(Decode(logprobs));

            // As in vLLM, a token that ended the sequence adds no text unless stop strings stay in the output.
            var endedByToken = i == tokens.Length - 1 && Sequence.FinishReason == LocalLlm.FinishReason.Stop;
            if (endedByToken)
                _stopTokenId = Sequence.StopTokenId;
            if (_text is null || (endedByToken && !Request.Sampling.IncludeStopStrInOutput))
                continue;
            _newText += _text.Append(token.TokenId, NumOutputTokens > Request.Sampling.MinTokens);
            if (_text.StopString is null)
                continue;
            End(LocalLlm.FinishReason.Stop);
            return;
        }
    }

    /// <summary>Ends the sequence; without effect if it has already ended.</summary>
    /// <param name="reason">Why.</param>
    /// <param name="failure">The error for the caller to read; null: only that an error occurred.</param>
    public void End(FinishReason reason, EngineException? failure = null)
    {
        FinishReason ??= reason;
        Failure ??= failure;
    }

    /// <summary>The error of a sequence whose output could not be created; the cause is for the log.</summary>
    public static EngineException OutputFailed(Exception? cause) => new(EngineErrorKind.GenerationFailed, "The output of this sequence could not be created; the engine's log says why.", innerException: cause);

    /// <summary>Sends what is new, if anything.</summary>
    /// <returns>Whether this completed the request, and for the log the failure, if any, that kept the last text from being
    /// created.</returns>
    public (bool IsLast, Exception? Failure) Send()
    {
        if (IsFinished)
            return default;
        var reason = FinishReason;
        if (reason is null && _newTokens.Count == 0)
            return default;
        Exception? failure = null;
        if (reason is not null and not LocalLlm.FinishReason.Error && _text is { StopString: null })
        {
            try
            {
                _newText += _text.Flush();
            }
            catch (Exception unforeseen)
            {
                failure = unforeseen;
                (reason, Failure) = (LocalLlm.FinishReason.Error, OutputFailed(unforeseen));
            }
        }

        IsFinished = reason is not null;
        var isLast = Request.Send(new GenerationOutput
        {
            RequestId = Request.Id,
            Index = index,
            Text = _newText,
            TokenIds = _newTokens.ToArray(),
            Logprobs = _newLogprobs,
            PromptLogprobs = _promptLogprobs,
            PromptTokenIds = Request.PromptTokenIds,
            FinishReason = reason,
            StopString = _text?.StopString,
            StopTokenId = reason == LocalLlm.FinishReason.Stop ? _stopTokenId : null,
            Error = reason == LocalLlm.FinishReason.Error ? Reason() : null,
            ErrorCause = reason == LocalLlm.FinishReason.Error ? Failure?.InnerException : null,
            Usage = reason is null ? null : new TokenUsage(Sequence.NumPromptTokens, NumOutputTokens, Sequence.NumCachedTokens),
        });
        _newTokens.Clear();
        _newLogprobs = null;
        _promptLogprobs = null;
        _newText = "";
        return (isLast, failure);
    }

    // A caller may read only the engine's own message about a failed computation. The text of any other exception is for the log.
    private string Reason() => Failure is { Kind: EngineErrorKind.GenerationFailed or EngineErrorKind.InvalidRequest } own ? own.Message : OutputFailed(null).Message;

    private TokenLogprobs Decode(TokenLogprobs logprobs) => _text is null
        ? logprobs
        : new(Decode(logprobs.Chosen), [.. logprobs.Top.Select(Decode)]);

    private TokenLogprob Decode(TokenLogprob logprob) => logprob with { DecodedToken = _text!.DecodeToken(logprob.TokenId) };
}
