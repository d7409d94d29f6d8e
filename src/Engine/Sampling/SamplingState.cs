using LocalLlm.Grammars;

namespace LocalLlm.Sampling;

/// <summary>
/// The sampling state of one sequence: its parameters, its generator (seed, index, position) and those of its tokens that a processor
/// needs. The owner appends each token once. A preempted sequence keeps its state, or recreates an equal one from its tokens.
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
    /// <param name="index">The sequence's index among the request's n; each has a random stream of its own.</param>
    /// <param name="drawnSeed">The seed if the request has none. The caller draws it once per request from the engine's generator.</param>
    /// <param name="promptTokenIds">The whole prompt; not kept.</param>
    /// <param name="outputTokenIds">The output so far, if a sequence is resumed.</param>
    /// <param name="grammar">The grammar compiled from <see cref="ValidatedSampling.Grammar"/>; null: any text.</param>
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

        // Only the repetition penalty depends on the prompt.
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

    /// <summary>Number of tokens generated so far, which is the position of the next draw.</summary>
    public int OutputLength { get; private set; }

    /// <summary>
    /// Tokens that a grammar allows next: bit i % 32 of word i / 32 stands for token i, and tokens beyond the last word are forbidden.
    /// Empty: all are allowed. Valid until the next token.
    /// </summary>
    public ReadOnlyMemory<uint> AllowedMask
    {
        get => _grammar?.Mask() ?? _allowedMask;
        set => _allowedMask = value;
    }

    /// <summary>
    /// Computes <see cref="AllowedMask"/> for the next token. Grammars are shared, so call this on the engine loop's thread before rows
    /// are sampled in parallel.
    /// </summary>
    public void PrepareMask() => _grammar?.Mask();

    /// <inheritdoc cref="GrammarSession.ThoughtOwingText"/>
    public (int Close, IReadOnlyList<int> Ends)? ThoughtOwingText => _grammar?.ThoughtOwingText;

    /// <summary>Why the grammar allows no token any more, in words for the caller; null: the grammar is not the cause.</summary>
    public SequenceFailure? GrammarFailure => _grammar?.Failure is { } failure && Sampling.Grammar?.Field is { } name
        ? new(EngineErrorKind.InvalidRequest, $"{name}: {failure}", name)
        : null;

    /// <summary>The only token that may come next, overriding everything else; null: no such token.</summary>
    public int? ForcedTokenId => _thinking?.ForcedTokenId;

    /// <summary>Token counts; null if no penalty is on.</summary>
    public TokenCounts? Counts => _counts;

    /// <summary>The output's last tokens, as many as the longest bad word can match.</summary>
    public ReadOnlySpan<int> Tail => _tail.AsSpan(0, _tailLength);

    /// <summary>The next random number in [0, 1); the same for every call at the same position.</summary>
    public double NextUniform => UniformAt(OutputLength);

    /// <summary>The random number in [0, 1) of an output position.</summary>
    public double UniformAt(int position) => Philox.Uniform(Seed, Index, position);

    /// <summary>Appends the generated token.</summary>
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
