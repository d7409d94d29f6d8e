namespace LocalLlm.Sampling.Grammar;

/// <summary>Where one output stands in its grammar. A model that thinks may think first: the grammar begins after the thought.</summary>
internal sealed class GrammarSession
{
    private readonly CompiledGrammar _grammar;
    private readonly ThinkingTokens? _thinking;
    private readonly int[] _ends;
    private readonly uint[] _mask;
    private GrammarState _state;
    private long _credit;
    private bool _isThinking;
    private bool _hasBegun;
    private bool _isMaskMade;
    private uint[]? _maskInThought;

    /// <param name="grammar">The grammar.</param>
    /// <param name="ends">Tokens that may end a whole text.</param>
    /// <param name="thinking">The tags of thoughts; null: the model does not think.</param>
    /// <param name="isChat">Whether the prompt asks for an answer, which may begin with a thought.</param>
    /// <param name="promptTokenIds">The prompt: its end says whether the output begins inside of a thought.</param>
    public GrammarSession(CompiledGrammar grammar, IEnumerable<int> ends, ThinkingTokens? thinking, bool isChat, ReadOnlySpan<int> promptTokenIds)
    {
        _grammar = grammar;
        _thinking = thinking;
        _ends = [.. ends];
        _mask = new uint[grammar.MaskWords];
        _state = grammar.Start;
        _credit = grammar.Limits.MaxCredit;
        if (thinking is not { } tags)
            return;
        var inThought = tags.EndsInThought(promptTokenIds);
        _isThinking = inThought == true;
        if (inThought == false && IsWhiteSpaceAfter(promptTokenIds, tags.Close))
            _state = grammar.StartAfterThought;

        // A prompt that closed the thought leaves no room for another one; one that is no chat asks for the text at once.
        _hasBegun = inThought == false || (inThought is null && !isChat);
    }

    /// <summary>
    /// Tokens that may come next; empty: all of them. Valid until the next token. A grammar that takes more work than a request may cost
    /// allows none: that request ends with <see cref="Failure"/>, and no other is harmed.
    /// </summary>
    public ReadOnlyMemory<uint> Mask()
    {
        if (_isThinking)
            return OwesText ? _maskInThought ??= MaskInThought() : default;
        if (!_isMaskMade)
            MakeMask();
        _isMaskMade = true;
        return _mask;
    }

    /// <summary>
    /// In a thought after which text is owed: the token that ends the thought, and those that would end the output. A model that wants to
    /// end there ends its thought instead. Null: none is owed.
    /// </summary>
    public (int Close, IReadOnlyList<int> Ends)? ThoughtOwingText => _isThinking && OwesText ? (_thinking!.Value.Close, _ends) : null;

    private bool OwesText => !_grammar.StartAfterThought.IsAccepting;

    /// <summary>Why no token is allowed any more; null: the grammar is well.</summary>
    public string? Failure { get; private set; }

    /// <summary>Takes the token that was generated.</summary>
    public void Append(int tokenId)
    {
        _isMaskMade = false;
        _credit = Math.Min(_credit + _grammar.Limits.WorkPerToken, _grammar.Limits.MaxCredit);
        if (_isThinking)
        {
            // One thought, then the text.
            _isThinking = tokenId != _thinking!.Value.Close;
            if (!_isThinking)
            {
                _hasBegun = true;
                _state = _grammar.StartAfterThought;
            }

            return;
        }

        if (!_hasBegun && _thinking is { } tags && tokenId == tags.Open)
        {
            _isThinking = true;
            return;
        }

        _hasBegun = true;
        try
        {
            if (_state != GrammarState.Dead)
                _state = _grammar.Next(_state, tokenId, ref _credit);
        }
        catch (GrammarException failure)
        {
            Failure = failure.Message;
        }
    }

    private void MakeMask()
    {
        Array.Clear(_mask);
        try
        {
            if (Failure is null && _state != GrammarState.Dead)
                _grammar.Mask(ref _state, ref _credit).CopyTo(_mask);
        }
        catch (GrammarException failure)
        {
            Failure = failure.Message;
        }

        if (Failure is not null)
            return;

        // A text that has left the grammar (its end was banned, say) can only end.
        if (_state == GrammarState.Dead || _state.IsAccepting)
        {
            foreach (var end in _ends)
                Allow(end);
        }

        if (!_hasBegun && _thinking is { } tags)
            Allow(tags.Open);
        if (!_mask.AsSpan().ContainsAnyExcept(0u))
            Failure = "no token of the vocabulary continues the text";
    }

    private uint[] MaskInThought()
    {
        var mask = new uint[_mask.Length];
        Array.Fill(mask, uint.MaxValue);
        foreach (var end in _ends)
        {
            if ((uint)end / 32 < (uint)mask.Length)
                mask[end / 32] &= ~(1u << (end % 32));
        }

        return mask;
    }

    private bool IsWhiteSpaceAfter(ReadOnlySpan<int> prompt, int tag)
    {
        foreach (var token in prompt[(prompt.LastIndexOf(tag) + 1)..])
        {
            if (!_grammar.IsWhiteSpace(token))
                return false;
        }

        return true;
    }

    private void Allow(int tokenId)
    {
        if ((uint)tokenId / 32 < (uint)_mask.Length)
            _mask[tokenId / 32] |= 1u << (tokenId % 32);
    }
}
