namespace LocalLlm.Grammars;

/// <summary>
/// A grammar over the tokens of a vocabulary, with the masks of the states that texts have reached. It can be created on any
/// thread (<see cref="GrammarCompiler"/>); afterwards all of its matchers must be used on one thread at a time.
/// </summary>
public sealed class CompiledGrammar
{
    private const int FewRemaining = 10; // below this most tokens are longer than what remains, and a walk is faster

    private const int MaxPrepared = 16; // strings of different kinds
    private const int MaxRemembered = 16; // for all grammars together, some 30 KB each
    private const int MaxReserves = 30; // finding a first token may take this many times MinWork
    private const int FewOf = 8; // tokens are tried one by one if they are at most 1 / FewOf of the vocabulary

    private readonly ByteAutomaton _automaton;
    private readonly TokenTrie _trie;
    private readonly GrammarState[] _stack;

    /// <param name="automaton">The grammar.</param>
    /// <param name="trie">The vocabulary.</param>
    /// <param name="limits">How much work the first mask, which the constructor computes, may take.</param>
    /// <exception cref="GrammarException">The mask takes too much work, or no token of the vocabulary begins a text of the
    /// grammar.</exception>
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

    /// <summary>The source of the grammar: compiling it over the same vocabulary gives an equal grammar.</summary>
    public GrammarSource Source { get; internal init; } = new GrammarSource.Literal("");

    /// <summary>How large the grammar may become.</summary>
    public GrammarLimits Limits { get; }

    /// <summary>Length of a bitmask over the vocabulary, in words of 32 tokens.</summary>
    public int MaskWords => (_trie.VocabularySize + 31) / 32;

    /// <summary>The state before the first token.</summary>
    internal GrammarState Start => _automaton.Start;

    /// <summary>
    /// The state before the first token after a thought. Up to two line feeds may come first: every reasoning model writes them there.
    /// </summary>
    internal GrammarState StartAfterThought => _automaton.StartAfterThought;

    /// <summary>
    /// Whether the grammar has grown so much that new requests should compile a new one. Objects add places for the members that
    /// texts contained.
    /// </summary>
    internal bool IsWornOut => _automaton.IsWornOut;

    /// <summary>Approximate memory use in bytes.</summary>
    internal long HeldBytes => _automaton.HeldBytes;

    /// <summary>Whether the grammar contains the empty text.</summary>
    public bool AcceptsEmptyText => StartAfterThought.IsAccepting;

    /// <summary>Whether a token is white space.</summary>
    /// <param name="tokenId">The token.</param>
    public bool IsWhiteSpace(int tokenId) =>
        (uint)tokenId < (uint)_trie.VocabularySize && _trie.Bytes[tokenId] is { Length: > 0 } bytes && !bytes.AsSpan().ContainsAnyExcept(" \t\r\n"u8);

    /// <summary>
    /// Tokens that may come next, stop tokens aside: bit i of word i / 32. If the credit is too small for all of them, only some
    /// with the fewest bytes, which are quick to find; the text still stays within the grammar.
    /// </summary>
    /// <param name="state">The state; on return, the grammar's current version of it.</param>
    /// <param name="credit">Steps through the rules that the call may take; the steps taken are subtracted.</param>
    /// <exception cref="GrammarException">Not even a few tokens could be found.</exception>
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

    // Most vocabularies have a token for every byte, so a text that can continue always has a token to continue with.
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

    // Computes the largest masks, those inside strings, here: later, other requests would wait for them.
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
        // Far from the end of a repetition, no token depends on the count so far; near the end only long tokens do.
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

    // Most tokens stay inside a string, for example. They are found once for all strings; only tokens that leave it are tried one by one.
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
    /// <param name="credit">Steps through the rules that the call may take; the steps taken are subtracted.</param>
    /// <exception cref="GrammarException">The steps were not enough, or the text can be read in too many ways.</exception>
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

    /// <summary>Like the other overload, without a limit.</summary>
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
