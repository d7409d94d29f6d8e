namespace LocalLlm.Sampling.Grammar;

/// <summary>A grammar over the tokens of a vocabulary, with the masks of the states that were met. Made anywhere; then used on the engine loop's thread only.</summary>
internal sealed class CompiledGrammar
{
    private readonly ByteAutomaton _automaton;
    private readonly TokenTrie _trie;
    private readonly GrammarState[] _stack;

    /// <param name="automaton">The grammar.</param>
    /// <param name="trie">The vocabulary.</param>
    /// <param name="limits">How much work the first mask, which is made here, may take.</param>
    /// <exception cref="GrammarException">It takes too much, or no token of the vocabulary begins a text.</exception>
    public CompiledGrammar(ByteAutomaton automaton, TokenTrie trie, GrammarLimits limits)
    {
        _automaton = automaton;
        _trie = trie;
        _stack = new GrammarState[trie.MaxDepth + 1];
        Limits = limits;
        var (state, credit) = (Start, limits.MaxWork);
        if (!Mask(ref state, ref credit).ContainsAnyExcept(0u) && !Start.IsAccepting)
            throw new GrammarException("no token of the vocabulary begins a text of the grammar");
    }

    /// <summary>How large it may become.</summary>
    public GrammarLimits Limits { get; }

    /// <summary>Length of a mask.</summary>
    public int MaskWords => (_trie.VocabularySize + 31) / 32;

    /// <summary>The state before the first token.</summary>
    public GrammarState Start => _automaton.Start;

    /// <summary>Whether it has grown so far (objects make places for the members that were there) that new requests should begin with a new one.</summary>
    public bool IsWornOut => _automaton.IsWornOut;

    /// <summary>About how much memory it holds, in bytes.</summary>
    public long HeldBytes => _automaton.HeldBytes;

    /// <summary>Tokens that may come next, the end left out: bit i of word i / 32.</summary>
    /// <param name="state">The state; afterwards the same one, as the grammar knows it now.</param>
    /// <param name="credit">Steps through the rules that it may take; those taken are subtracted.</param>
    /// <exception cref="GrammarException">They were not enough, or the text can be read in too many ways.</exception>
    public ReadOnlySpan<uint> Mask(ref GrammarState state, ref long credit)
    {
        var now = state = _automaton.Renewed(state);
        if (now.Mask is { } known)
            return known;
        var mask = new uint[MaskWords];
        _automaton.Limited(ref credit, () => _trie.Allow(_automaton, now, mask, _stack));
        Array.Clear(_stack);
        _automaton.Hold(mask.Length * sizeof(uint));
        return now.Mask = mask;
    }

    /// <summary>The state after a token, or <see cref="GrammarState.Dead"/>.</summary>
    /// <exception cref="GrammarException">The text can be read in too many ways.</exception>
    public GrammarState Next(GrammarState state, int tokenId)
    {
        if ((uint)tokenId >= (uint)_trie.VocabularySize || _trie.Bytes[tokenId].Length == 0)
            return GrammarState.Dead;
        foreach (var value in _trie.Bytes[tokenId])
        {
            state = _automaton.Next(state, value);
            if (state == GrammarState.Dead)
                break;
        }

        return state;
    }
}
