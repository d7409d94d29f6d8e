using LocalLlm.Grammars;

namespace LocalLlm.Sampling;

/// <summary>
/// What sampling remembers of one sequence: its parameters, its generator (seed, index, position) and the tokens so far, as far as a
/// processor needs them. Its owner appends each token once; a preempted sequence keeps its state, or makes an equal one from its tokens.
/// Not thread-safe; distinct states are independent.
/// </summary>
internal sealed class SamplingState
{
    private readonly TokenCounts? _counts;
    private readonly ThinkingBudget? _thinking;
    private readonly GrammarSession? _grammar;
    private ReadOnlyMemory<uint> _allowedMask;
    private readonly int[] _tail;
    private int _tailLength;

    /// <param name="sampling">The request's parameters.</param>
    /// <param name="index">Which of the request's n sequences; each draws from a stream of its own.</param>
    /// <param name="drawnSeed">Used where the request has no seed; the caller draws it once per request from the engine's
    /// generator.</param>
    /// <param name="promptTokenIds">The whole prompt. Not kept.</param>
    /// <param name="outputTokenIds">The output so far, where a sequence is taken up again.</param>
    /// <param name="grammar">Compiled from <see cref="ValidatedSampling.Grammar"/>; null: any text.</param>
    public SamplingState(
        ValidatedSampling sampling,
        int index,
        ulong drawnSeed,
        ReadOnlySpan<int> promptTokenIds,
        ReadOnlySpan<int> outputTokenIds = default,
        CompiledGrammar? grammar = null)
    {
        Sampling = sampling;
        Index = index;
        Seed = sampling.Seed is { } given ? unchecked((ulong)given) : drawnSeed;
        _counts = sampling.HasPenalties ? new TokenCounts() : null;
        _thinking = sampling.ThinkingTokenBudget is { } budget ? new ThinkingBudget(sampling.Thinking!.Value, budget) : null;
        _grammar = grammar is not null ? new GrammarSession(grammar, sampling.EosTokenIds.Union(sampling.StopTokenIds), sampling.Thinking, sampling.IsChat, promptTokenIds) : null;
        _thinking?.AddPrompt(promptTokenIds);
        var longest = 0;
        foreach (var word in sampling.BadWordsTokenIds)
            longest = Math.Max(longest, word.Length - 1);
        _tail = longest == 0 ? [] : new int[longest];

        // Only the repetition penalty looks at the prompt.
        if (sampling.RepetitionPenalty != 1)
        {
            foreach (var id in promptTokenIds)
                _counts!.AddPrompt(id);
        }

        foreach (var id in outputTokenIds)
            Append(id);
    }

    public ValidatedSampling Sampling { get; }

    public int Index { get; }

    public ulong Seed { get; }

    /// <summary>Tokens generated so far: the position of the next draw.</summary>
    public int OutputLength { get; private set; }

    /// <summary>
    /// Tokens that a grammar allows next: bit i of word i / 32, tokens beyond the last word are forbidden. Empty: all are allowed. Valid
    /// until the next token.
    /// </summary>
    public ReadOnlyMemory<uint> AllowedMask
    {
        get => _grammar?.Mask() ?? _allowedMask;
        set => _allowedMask = value;
    }

    /// <summary>
    /// Creates <see cref="AllowedMask"/> for the next token. Grammars are shared: to be called on the engine loop's thread before rows are
    /// sampled in parallel.
    /// </summary>
    public void PrepareMask() => _grammar?.Mask();

    /// <inheritdoc cref="GrammarSession.ThoughtOwingText"/>
    public (int Close, IReadOnlyList<int> Ends)? ThoughtOwingText => _grammar?.ThoughtOwingText;

    /// <summary>Why the grammar allows no token any more, as the caller sees it; null: it is not the grammar's fault.</summary>
    public SequenceFailure? GrammarFailure => _grammar?.Failure is { } failure && Sampling.Grammar?.Field is { } name
        ? new(EngineErrorKind.InvalidRequest, $"{name}: {failure}", name)
        : null;

    /// <summary>The only token that may come next, whatever else is asked for; null: no such token.</summary>
    public int? ForcedTokenId => _thinking?.ForcedTokenId;

    /// <summary>Null where no penalty is on.</summary>
    public TokenCounts? Counts => _counts;

    /// <summary>The output's last tokens, as many as the longest bad word can match.</summary>
    public ReadOnlySpan<int> Tail => _tail.AsSpan(0, _tailLength);

    /// <summary>The next draw in [0, 1); asking twice for the same position gives the same number.</summary>
    public double NextUniform => UniformAt(OutputLength);

    /// <summary>The draw in [0, 1) of an output position.</summary>
    public double UniformAt(int position) => Philox.Uniform(Seed, Index, position);

    /// <summary>Takes the token that was generated.</summary>
    public void Append(int tokenId)
    {
        OutputLength++;
        _counts?.AddOutput(tokenId);
        _thinking?.Append(tokenId);
        _grammar?.Append(tokenId);
        if (_tail.Length == 0)
            return;
        if (_tailLength == _tail.Length)
            _tail.AsSpan(1).CopyTo(_tail);
        else
            _tailLength++;
        _tail[_tailLength - 1] = tokenId;
    }
}
