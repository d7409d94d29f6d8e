using LocalLlm.Grammars;

namespace LocalLlm.Sampling;

/// <summary>The state of one output in its grammar. A model that thinks may think first: the grammar begins after the thought.</summary>
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
    /// <param name="ends">Tokens that may end a complete text.</param>
    /// <param name="thinking">The reasoning tags; null: the model does not think.</param>
    /// <param name="isChat">Whether the prompt is a chat, whose response may begin with a thought.</param>
    /// <param name="promptTokenIds">The prompt; its end shows whether the output begins inside a thought.</param>
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

        // After a prompt that closed the thought no other thought may follow, and without a chat the text begins at once.
        _hasBegun = inThought == false || (inThought is null && !isChat);
    }

    /// <summary>
    /// Tokens that may come next; empty: all of them. Valid until the next token. If the grammar needs more work than one request may
    /// cost, no token is allowed: that request ends with <see cref="Failure"/>, and others are not affected.
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
    /// In a thought that must be followed by text: the token that ends the thought, and the tokens that would end the output. If the model
    /// tries to end the output there, it ends its thought instead. Null: not in such a thought.
    /// </summary>
    public (int Close, IReadOnlyList<int> Ends)? ThoughtOwingText => _isThinking && OwesText ? (_thinking!.Value.Close, _matcher.StopTokenIds) : null;

    private bool OwesText => !_grammar.AcceptsEmptyText;

    /// <inheritdoc cref="GrammarMatcher.Failure"/>
    public string? Failure => _matcher.Failure;

    /// <summary>Appends the generated token.</summary>
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

        // A token outside the grammar (because its end was banned, for example) leaves the grammar; then the text can only end.
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
