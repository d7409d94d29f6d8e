namespace LocalLlm.Grammars;

/// <summary>
/// A grammar over the tokens of a vocabulary, with the masks of the states that were met. Made anywhere (<see cref="GrammarCompiler"/>);
/// then used, through its matchers, on one thread at a time.
/// </summary>
public sealed class CompiledGrammar
{
    private const int FewRemaining = 10; // from there on most tokens are long, and a walk is quicker

    private const int MaxPrepared = 16; // strings of different kinds
    private const int MaxRemembered = 16; // of all grammars, some 30 KB each
    private const int MaxReserves = 30; // as much of the least work as finding a first token may take
    private const int FewOf = 8; // tokens that are tried by themselves: at most this part of all

    private readonly ByteAutomaton _automaton;
    private readonly TokenTrie _trie;
    private readonly GrammarState[] _stack;

    /// <param name="automaton">The grammar.</param>
    /// <param name="trie">The vocabulary.</param>
    /// <param name="limits">How much work the first mask, which is made here, may take.</param>
    /// <exception cref="GrammarException">It takes too much, or no token of the vocabulary begins a text.</exception>
    internal CompiledGrammar(ByteAutomaton automaton, TokenTrie trie, GrammarLimits limits)
    {
        _automaton = automaton;
        _trie = trie;
        _stack = new GrammarState[trie.MaxDepth + 1];
        Limits = limits;
        var credit = limits.MaxWork;
        automaton.Limited(ref credit, limits.MaxCompileBytes, () =>
        {
            Start.Mask = Make(Start);
            StartAfterThought.Mask ??= Make(StartAfterThought);
            Prepare();
        });
        if (!Start.Mask!.AsSpan().ContainsAnyExcept(0u) && !Start.IsAccepting)
            throw new GrammarException("no token of the vocabulary begins a text of the grammar");
    }

    /// <summary>What it was made from: compiled over the same vocabulary, it makes an equal grammar.</summary>
    public GrammarSource Source { get; internal init; } = new GrammarSource.Literal("");

    /// <summary>How large it may become.</summary>
    public GrammarLimits Limits { get; }

    /// <summary>Length of a bitmask of its vocabulary, in words of 32 tokens.</summary>
    public int MaskWords => (_trie.VocabularySize + 31) / 32;

    /// <summary>The state before the first token.</summary>
    internal GrammarState Start => _automaton.Start;

    /// <summary>The state before the first token after a thought: up to two line feeds may come first, which every model that thinks writes
    /// there.</summary>
    internal GrammarState StartAfterThought => _automaton.StartAfterThought;

    /// <summary>
    /// Whether it has grown so far (objects make places for the members that were there) that new requests should begin with a new one.
    /// </summary>
    internal bool IsWornOut => _automaton.IsWornOut;

    /// <summary>About how much memory it holds, in bytes.</summary>
    internal long HeldBytes => _automaton.HeldBytes;

    /// <summary>Whether the empty text is one of the grammar.</summary>
    public bool AcceptsEmptyText => StartAfterThought.IsAccepting;

    /// <summary>Whether a token is white space.</summary>
    /// <param name="tokenId">The token.</param>
    public bool IsWhiteSpace(int tokenId) =>
        (uint)tokenId < (uint)_trie.VocabularySize && _trie.Bytes[tokenId] is { Length: > 0 } bytes && !bytes.AsSpan().ContainsAnyExcept(" \t\r\n"u8);

    /// <summary>
    /// Tokens that may come next, the end left out: bit i of word i / 32. Where the credit is not enough for all of them, some that are
    /// quick to find, those of fewest bytes: the text goes on within the grammar.
    /// </summary>
    /// <param name="state">The state; afterwards the same one, as the grammar knows it now.</param>
    /// <param name="credit">Steps through the rules that it may take; those taken are subtracted.</param>
    /// <exception cref="GrammarException">Not even these could be found.</exception>
    internal ReadOnlySpan<uint> Mask(ref GrammarState state, ref long credit)
    {
        var now = state = _automaton.Renewed(state);
        if (now.Mask is { } known)
            return known;
        var mask = default(uint[]);
        try
        {
            _automaton.Limited(ref credit, 2 * Limits.MaxBytes, () => mask = Make(now));
            return now.Mask = mask!;
        }
        catch (GrammarWorkException)
        {
            return Short(now);
        }
    }

    // Every byte is a token of most vocabularies, so a text never comes to an end that is none.
    private uint[] Short(GrammarState state)
    {
        var mask = new uint[MaskWords];
        var (found, left) = (false, Limits.MinWork);
        for (var i = _trie.LongestFirst.Length - 1; i >= 0 && (left > 0 || !found || _trie.Bytes[_trie.LongestFirst[i]].Length == 1); i--)
        {
            var token = _trie.LongestFirst[i];
            var before = _automaton.Work;
            if (Next(state, token) != GrammarState.Dead)
            {
                mask[token / 32] |= 1u << (token % 32);
                found = true;
            }

            left -= _automaton.Work - before;
            if (left < -MaxReserves * Limits.MinWork)
                break;
        }

        return found ? mask : throw new GrammarWorkException("the grammar takes too much work at each token; make it less ambiguous, and its repetitions fewer");
    }

    // The largest masks, those inside of strings, are found here and not while others wait.
    private void Prepare()
    {
        foreach (var (name, start) in _automaton.SharedRules().Take(MaxPrepared).ToArray())
        {
            var state = start;
            foreach (var value in "\"a"u8)
            {
                state = _automaton.Next(state, value);
                if (state == GrammarState.Dead || state.Escapes)
                    break;
                state.Tokens ??= name is null ? Sorted(state) : Remembered($"{name} {(char)value}", state);
            }
        }
    }

    private (uint[] Inside, int[] Unknown) Remembered(string name, GrammarState state)
    {
        if (_trie.Known.TryGetValue(name, out var known))
            return known;
        known = Sorted(state);
        if (_trie.Known.Count < MaxRemembered)
            _trie.Known.TryAdd(name, known);
        return known;
    }

    private uint[] Make(GrammarState state)
    {
        // Far from the end of a repetition the number of those that were does not matter to any token, near to it to long ones only.
        var relaxed = _automaton.Relaxed(state, out var remaining);
        if (remaining < FewRemaining || relaxed == state)
            return Found(state);
        var known = relaxed.Mask ??= Found(relaxed);
        if (remaining >= _trie.MaxDepth)
            return known;
        var mask = known.ToArray();
        foreach (var token in _trie.LongestFirst)
        {
            if (_trie.Bytes[token].Length <= remaining)
                break;
            if ((mask[token / 32] >> (token % 32) & 1) != 0 && Next(state, token) == GrammarState.Dead)
                mask[token / 32] &= ~(1u << (token % 32));
        }

        _automaton.Hold(mask.Length * sizeof(uint));
        return mask;
    }

    // Most tokens stay inside of a string, say: these are found once for all strings, and only those that leave it by themselves.
    private uint[] Found(GrammarState state)
    {
        if (_automaton.Inside(state) is not { } inside)
            return Walked(state);
        var (staying, unknown) = inside.Tokens ??= Sorted(inside);
        if (unknown.Length > _trie.VocabularySize / FewOf)
            return Walked(state);
        var mask = staying.ToArray();
        foreach (var token in unknown)
        {
            if (Next(state, token) != GrammarState.Dead)
                mask[token / 32] |= 1u << (token % 32);
        }

        _automaton.Hold(mask.Length * sizeof(uint));
        return mask;
    }

    private (uint[] Inside, int[] Unknown) Sorted(GrammarState inside)
    {
        var mask = new uint[MaskWords];
        var unknown = _trie.AllowInside(_automaton, inside, mask, _stack);
        Array.Clear(_stack);
        _automaton.Hold((mask.Length * sizeof(uint)) + (unknown.Length * sizeof(int)));
        return (mask, unknown);
    }

    private uint[] Walked(GrammarState state)
    {
        var mask = new uint[MaskWords];
        _trie.Allow(_automaton, state, mask, _stack);
        Array.Clear(_stack);
        _automaton.Hold(mask.Length * sizeof(uint));
        return mask;
    }

    /// <summary>The state after a token, or <see cref="GrammarState.Dead"/>.</summary>
    /// <param name="state">The state.</param>
    /// <param name="tokenId">The token.</param>
    /// <param name="credit">Steps through the rules that it may take; those taken are subtracted.</param>
    /// <exception cref="GrammarException">They were not enough, or the text can be read in too many ways.</exception>
    internal GrammarState Next(GrammarState state, int tokenId, ref long credit)
    {
        var next = state;
        var allowed = Math.Max(credit, Limits.MinWork);
        var left = allowed;
        try
        {
            _automaton.Limited(ref left, long.MaxValue, () => next = Next(next, tokenId));
        }
        finally
        {
            credit -= allowed - left;
        }

        return next;
    }

    /// <summary>The same without a limit.</summary>
    /// <exception cref="GrammarException">The text can be read in too many ways.</exception>
    internal GrammarState Next(GrammarState state, int tokenId)
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
