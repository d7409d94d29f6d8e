namespace LocalLlm.Sampling.Grammar;

/// <summary>Where one output stands in its grammar. A model that thinks may think first: the grammar begins after the thought.</summary>
internal sealed class GrammarSession
{
    private readonly CompiledGrammar _grammar;
    private readonly ThinkingTokens? _thinking;
    private readonly int[] _ends;
    private readonly uint[] _mask;
    private int _state;
    private bool _isThinking;
    private bool _hasBegun;
    private bool _isMaskMade;

    /// <param name="grammar">The grammar.</param>
    /// <param name="ends">Tokens that may end a whole text.</param>
    /// <param name="thinking">The tags of thoughts; null: the model does not think.</param>
    /// <param name="promptTokenIds">The prompt: its end says whether the output begins inside of a thought.</param>
    public GrammarSession(CompiledGrammar grammar, IEnumerable<int> ends, ThinkingTokens? thinking, ReadOnlySpan<int> promptTokenIds)
    {
        _grammar = grammar;
        _thinking = thinking;
        _ends = [.. ends];
        _mask = new uint[grammar.MaskWords];
        _state = grammar.Start;
        if (thinking is not { } tags)
            return;
        var last = promptTokenIds.LastIndexOfAny(tags.Open, tags.Close);
        _isThinking = last >= 0 && promptTokenIds[last] == tags.Open;

        // A prompt that closed the thought leaves no room for another one.
        if (last >= 0 && promptTokenIds[last] == tags.Close)
            _hasBegun = true;
    }

    /// <summary>
    /// Tokens that may come next; empty: all of them. Valid until the next token. A grammar that has grown beyond its limits allows none: that request ends, and no other is harmed.
    /// </summary>
    public ReadOnlyMemory<uint> Mask()
    {
        if (_isThinking)
            return default;
        if (!_isMaskMade)
            MakeMask();
        _isMaskMade = true;
        return _mask;
    }

    /// <summary>Takes the token that was generated.</summary>
    public void Append(int tokenId)
    {
        _isMaskMade = false;
        if (_isThinking)
        {
            // One thought, then the text.
            _isThinking = tokenId != _thinking!.Value.Close;
            _hasBegun |= !_isThinking;
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
            if (_state != ByteAutomaton.Dead)
                _state = _grammar.Next(_state, tokenId);
        }
        catch (GrammarException)
        {
            _state = ByteAutomaton.Dead;
        }
    }

    private void MakeMask()
    {
        Array.Clear(_mask);
        try
        {
            if (_state != ByteAutomaton.Dead)
                _grammar.Mask(_state).CopyTo(_mask, 0);
        }
        catch (GrammarException)
        {
            return;
        }

        // A text that has left the grammar (its end was banned, say) can only end.
        if (_state == ByteAutomaton.Dead || _grammar.IsAccepting(_state))
        {
            foreach (var end in _ends)
                Allow(end);
        }

        if (!_hasBegun && _thinking is { } tags)
            Allow(tags.Open);
    }

    private void Allow(int tokenId)
    {
        if ((uint)tokenId / 32 < (uint)_mask.Length)
            _mask[tokenId / 32] |= 1u << (tokenId % 32);
    }
}
