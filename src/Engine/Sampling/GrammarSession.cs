using LocalLlm.Grammars;

namespace LocalLlm.Sampling;

/// <summary>Where one output stands in its grammar. A model that thinks may think first: the grammar begins after the thought.</summary>
internal sealed class GrammarSession
{
    private readonly CompiledGrammar _grammar;
    private readonly GrammarMatcher _matcher;
    private readonly ThinkingTokens? _thinking;
    private readonly uint[] _mask;
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
        _matcher = new(grammar, ends);
        _mask = new uint[grammar.MaskWords];
        if (thinking is not { } tags)
            return;
        var inThought = tags.EndsInThought(promptTokenIds);
        _isThinking = inThought == true;
        if (inThought == false && IsWhiteSpaceAfter(promptTokenIds, tags.Close))
            _matcher.RestartAfterThought();

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
            _matcher.FillNextTokenBitmask(_mask, !_hasBegun && _thinking is { } tags ? [tags.Open] : []);
        _isMaskMade = true;
        return _mask;
    }

    /// <summary>
    /// In a thought after which text is owed: the token that ends the thought, and those that would end the output. A model that wants to
    /// end there ends its thought instead. Null: none is owed.
    /// </summary>
    public (int Close, IReadOnlyList<int> Ends)? ThoughtOwingText => _isThinking && OwesText ? (_thinking!.Value.Close, _matcher.StopTokenIds) : null;

    private bool OwesText => !_grammar.AcceptsEmptyText;

    /// <inheritdoc cref="GrammarMatcher.Failure"/>
    public string? Failure => _matcher.Failure;

    /// <summary>Takes the token that was generated.</summary>
    public void Append(int tokenId)
    {
        _isMaskMade = false;
        if (_isThinking)
        {
            // One thought, then the text.
            _isThinking = tokenId != _thinking!.Value.Close;
            if (!_isThinking)
            {
                _hasBegun = true;
                _matcher.RestartAfterThought();
            }

            return;
        }

        if (!_hasBegun && _thinking is { } tags && tokenId == tags.Open)
        {
            _isThinking = true;
            return;
        }

        // A token outside of the grammar (its end was banned, say) leaves it: then the text can only end.
        _hasBegun = true;
        _matcher.TryAccept(tokenId);
    }

    private uint[] MaskInThought()
    {
        var mask = new uint[_mask.Length];
        Array.Fill(mask, uint.MaxValue);
        foreach (var end in _matcher.StopTokenIds)
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
}
