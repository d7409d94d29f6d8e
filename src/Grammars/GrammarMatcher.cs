namespace LocalLlm.Grammars;

/// <summary>
/// Tracks the position of one output in its grammar. Matchers of one <see cref="CompiledGrammar"/> share its states and masks, so
/// all of them must be used on one thread at a time.
/// </summary>
public sealed class GrammarMatcher
{
    private readonly int[] _stopTokenIds;
    private GrammarState _state;
    private long _credit;

    /// <summary>Creates a matcher before the first token.</summary>
    /// <param name="grammar">The grammar.</param>
    /// <param name="stopTokenIds">Tokens that may end a whole text.</param>
    public GrammarMatcher(CompiledGrammar grammar, IEnumerable<int> stopTokenIds)
    {
        ArgumentNullException.ThrowIfNull(grammar);
        Grammar = grammar;
        _stopTokenIds = [.. stopTokenIds];
        _state = grammar.Start;
        _credit = grammar.Limits.MaxCredit;
    }

    /// <summary>The grammar.</summary>
    public CompiledGrammar Grammar { get; }

    /// <summary>Tokens that may end a whole text.</summary>
    public IReadOnlyList<int> StopTokenIds => _stopTokenIds;

    /// <summary>Whether the tokens so far are a whole text of the grammar.</summary>
    public bool IsAccepting => _state != GrammarState.Dead && _state.IsAccepting;

    /// <summary>
    /// Why no token is allowed any more: the grammar takes more work than one output may cost, or no token of the vocabulary
    /// continues the text. Null: there is no failure.
    /// </summary>
    public string? Failure { get; private set; }

    /// <summary>
    /// Starts again after a thought: up to two line feeds, which models write there, may come before the text. What was accepted
    /// before is forgotten.
    /// </summary>
    public void RestartAfterThought() => _state = Grammar.StartAfterThought;

    /// <summary>Writes the mask of tokens that may come next. A text that has left the grammar can only end.</summary>
    /// <param name="bitmask">
    /// [<see cref="CompiledGrammar.MaskWords"/>]: bit i % 32 of word i / 32 is token i; all of it is overwritten. After a
    /// <see cref="Failure"/> nothing is allowed.
    /// </param>
    /// <param name="alsoAllowed">Further allowed tokens, such as one that begins a thought.</param>
    /// <exception cref="ArgumentException">The bitmask has another length.</exception>
    public void FillNextTokenBitmask(Span<uint> bitmask, ReadOnlySpan<int> alsoAllowed = default)
    {
        if (bitmask.Length != Grammar.MaskWords)
        {
            throw new ArgumentException(
                $"the bitmask has {bitmask.Length} words; this vocabulary takes {Grammar.MaskWords}", nameof(bitmask));
        }

        bitmask.Clear();
        try
        {
            if (Failure is null && _state != GrammarState.Dead)
                Grammar.Mask(ref _state, ref _credit).CopyTo(bitmask);
        }
        catch (GrammarException failure)
        {
            Failure = failure.Message;
        }

        if (Failure is not null)
            return;
        if (_state == GrammarState.Dead || _state.IsAccepting)
            Allow(bitmask, _stopTokenIds);
        Allow(bitmask, alsoAllowed);
        if (!bitmask.ContainsAnyExcept(0u))
            Failure = "no token of the vocabulary continues the text";
    }

    /// <summary>Takes the next token of the output, allowed or not.</summary>
    /// <param name="tokenId">The token.</param>
    /// <returns>Whether the token continues the text within the grammar, or is a stop token that ends a whole text.</returns>
    public bool TryAccept(int tokenId)
    {
        _credit = Math.Min(_credit + Grammar.Limits.WorkPerToken, Grammar.Limits.MaxCredit);
        var ends = IsAccepting && _stopTokenIds.Contains(tokenId);
        try
        {
            if (_state != GrammarState.Dead)
                _state = Grammar.Next(_state, tokenId, ref _credit);
        }
        catch (GrammarException failure)
        {
            Failure = failure.Message;
        }

        return Failure is null && (ends || _state != GrammarState.Dead);
    }

    private static void Allow(Span<uint> bitmask, ReadOnlySpan<int> tokenIds)
    {
        foreach (var id in tokenIds)
        {
            if ((uint)id / 32 < (uint)bitmask.Length)
                bitmask[id / 32] |= 1u << (id % 32);
        }
    }
}
