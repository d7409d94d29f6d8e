namespace LocalLlm.Sampling.Grammar;

/// <summary>A grammar over the tokens of a vocabulary, with the masks of the states that were met. Made anywhere; then used on the engine loop's thread only.</summary>
/// <param name="automaton">The grammar.</param>
/// <param name="trie">The vocabulary.</param>
internal sealed class CompiledGrammar(ByteAutomaton automaton, TokenTrie trie)
{
    // 19 KB each for 152,000 tokens.
    private const int MostMasks = 1024;

    private readonly Dictionary<int, uint[]> _masks = [];
    private readonly int[] _stack = new int[trie.MaxDepth + 1];

    /// <summary>Length of a mask.</summary>
    public int MaskWords => (trie.VocabularySize + 31) / 32;

    /// <summary>The state before the first token.</summary>
    public int Start => automaton.Start;

    /// <summary>Whether the text so far is whole.</summary>
    public bool IsAccepting(int state) => automaton.IsAccepting(state);

    /// <summary>Tokens that may come next, the end left out: bit i of word i / 32. Not to be changed.</summary>
    /// <exception cref="GrammarException">The grammar has become too large.</exception>
    public uint[] Mask(int state)
    {
        if (_masks.TryGetValue(state, out var known))
            return known;
        if (_masks.Count == MostMasks)
            _masks.Clear();
        var mask = new uint[MaskWords];
        trie.Allow(automaton, state, mask, _stack);
        _masks.Add(state, mask);
        return mask;
    }

    /// <summary>The state after a token, or <see cref="ByteAutomaton.Dead"/>.</summary>
    public int Next(int state, int tokenId)
    {
        if ((uint)tokenId >= (uint)trie.VocabularySize || trie.Bytes[tokenId].Length == 0)
            return ByteAutomaton.Dead;
        foreach (var value in trie.Bytes[tokenId])
        {
            state = automaton.Next(state, value);
            if (state == ByteAutomaton.Dead)
                break;
        }

        return state;
    }
}
