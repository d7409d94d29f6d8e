using LocalLlm.Sampling;

namespace LocalLlm.Scheduling;

/// <summary>The engine loop's state of one sequence: its text, and what has not been sent yet.</summary>
internal sealed class LiveSequence(LiveRequest request, int index, Sequence sequence, int maxModelLen)
{
    private readonly TextStream? _text = request.Sampling.Detokenize ? request.CreateText?.Invoke() : null;
    private readonly List<int> _newTokens = [];
    private List<TokenLogprobs>? _newLogprobs;
    private List<TokenLogprobs?>? _promptLogprobs = request.Sampling.PromptLogprobs is not null && index == 0 ? [null] : null;
    private string _newText = "";
    private int? _stopTokenId;

    /// <summary>The request it belongs to.</summary>
    public LiveRequest Request { get; } = request;

    /// <summary>The scheduler's view of it.</summary>
    public Sequence Sequence { get; } = sequence;

    /// <summary>Whether its last piece was sent.</summary>
    public bool IsFinished { get; private set; }

    /// <summary>What the step said of the token that is about to be appended.</summary>
    public TokenLogprobs? NextLogprobs { get; set; }

    /// <summary>Timestamp of its latest token, or null before the first.</summary>
    public long? LastTokenTimestamp { get; set; }

    /// <summary>Why it failed, once it has.</summary>
    public EngineException? Failure { get; set; }

    /// <summary>Takes log-probabilities of prompt tokens from index <paramref name="first"/> on; after a preemption they come again.</summary>
    public void SetPromptLogprobs(int first, IReadOnlyList<TokenLogprobs> logprobs)
    {
        if (_promptLogprobs is null)
            return;
        _promptLogprobs.RemoveRange(first, _promptLogprobs.Count - first);
        _promptLogprobs.AddRange(logprobs.Select(Decode));
    }

    /// <summary>Takes a token that the scheduler has appended.</summary>
    /// <returns>Why the sequence ends with it, or null.</returns>
    public FinishReason? Append(int tokenId)
    {
        var sampling = Request.Sampling;
        _newTokens.Add(tokenId);
        if (NextLogprobs is { } logprobs)
            (_newLogprobs ??= []).Add(Decode(logprobs));
        NextLogprobs = null;

        var outputLength = Sequence.NumOutputTokens;
        var stop = StopChecker.Check(sampling, tokenId, outputLength, Sequence.NumPromptTokens, maxModelLen);
        _stopTokenId = stop?.StopTokenId;

        // As in vLLM, the token that ended the sequence is no text unless its stop string would be.
        var endedByToken = stop?.Reason == FinishReason.Stop;
        if (_text is not null && (!endedByToken || sampling.IncludeStopStrInOutput))
        {
            _newText += _text.Append(tokenId, outputLength > sampling.MinTokens);
            if (_text.StopString is not null)
                return FinishReason.Stop;
        }

        return stop?.Reason;
    }

    /// <summary>The error of a sequence whose output could not be made; the cause is for the log.</summary>
    public static EngineException OutputFailed(Exception? cause) => new(EngineErrorKind.GenerationFailed, "The output of this sequence could not be made; the engine's log says why.", innerException: cause);

    /// <summary>Sends what is new, if anything is.</summary>
    /// <returns>What kept the last of the text from being made, for the log; null: nothing.</returns>
    public Exception? Send()
    {
        if (IsFinished)
            return null;
        var reason = Sequence.FinishReason;
        if (reason is null && _newTokens.Count == 0)
            return null;
        Exception? failure = null;
        if (reason is not null && Failure is not null)
            reason = FinishReason.Error;
        if (reason is not null and not FinishReason.Error && _text is { StopString: null })
        {
            try
            {
                _newText += _text.Flush();
            }
            catch (Exception unforeseen)
            {
                failure = unforeseen;
                (reason, Failure) = (FinishReason.Error, OutputFailed(unforeseen));
            }
        }

        IsFinished = reason is not null;
        Request.Send(new GenerationOutput
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
            StopTokenId = reason == FinishReason.Stop ? _stopTokenId : null,
            Error = reason == FinishReason.Error ? Reason() : null,
            Usage = reason is null ? null : new TokenUsage(Sequence.NumPromptTokens, Sequence.NumOutputTokens, Sequence.NumCachedTokens),
        });
        _newTokens.Clear();
        _newLogprobs = null;
        _promptLogprobs = null;
        _newText = "";
        return failure;
    }

    // Only what the engine itself says of a failed computation may reach a caller. Any other exception's text is for the log.
    private string Reason() => (Failure ?? Sequence.Failure) is EngineException { Kind: EngineErrorKind.GenerationFailed } own ? own.Message : OutputFailed(null).Message;

    private TokenLogprobs Decode(TokenLogprobs logprobs) => _text is null
        ? logprobs
        : new(Decode(logprobs.Chosen), [.. logprobs.Top.Select(Decode)]);

    private TokenLogprob Decode(TokenLogprob logprob) => logprob with { DecodedToken = _text!.DecodeToken(logprob.TokenId) };
}
