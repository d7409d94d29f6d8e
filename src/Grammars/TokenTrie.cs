using System.Collections.Concurrent;

namespace LocalLlm.Grammars;

/// <summary>
/// A vocabulary: the bytes of its tokens as a trie, stored in the order of a walk from the root. A walk that meets a byte without
/// a continuation skips everything below it. Immutable, apart from what it remembers.
/// </summary>
public sealed class TokenTrie
{
    private readonly byte[] _labels;
    private readonly ushort[] _depths; // the root's children have depth 1
    private readonly int[] _skips; // the node after the whole subtree
    private readonly int[] _firstTokens; // per node: index of its first token in _tokens
    private readonly int[] _tokens;

    /// <summary>Sorts a vocabulary. That takes a tenth of a second for a large one, so create it once.</summary>
    /// <param name="count">Number of tokens in the vocabulary.</param>
    /// <param name="bytesOf">The bytes of a token; empty: a grammar never chooses it (special tokens).</param>
    public TokenTrie(int count, Func<int, byte[]> bytesOf)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        ArgumentNullException.ThrowIfNull(bytesOf);
        VocabularySize = count;
        var sorted = Enumerable.Range(0, count).Select(id => (Id: id, Bytes: bytesOf(id))).Where(token => token.Bytes.Length is > 0 and <= ushort.MaxValue).ToArray();
        Array.Sort(sorted, (a, b) => a.Bytes.AsSpan().SequenceCompareTo(b.Bytes) is not 0 and var order ? order : a.Id.CompareTo(b.Id));
        Bytes = [.. Enumerable.Repeat(Array.Empty<byte>(), count)];
        var (labels, depths, firstTokens, tokens) = (new List<byte>(), new List<ushort>(), new List<int>(), new List<int>());
        byte[] before = [];
        foreach (var (id, bytes) in sorted)
        {
            Bytes[id] = bytes;
            var common = before.AsSpan().CommonPrefixLength(bytes);
            for (var depth = common; depth < bytes.Length; depth++)
            {
                labels.Add(bytes[depth]);
                depths.Add((ushort)(depth + 1));
                firstTokens.Add(tokens.Count);
            }

            tokens.Add(id);
            before = bytes;
            MaxDepth = Math.Max(MaxDepth, bytes.Length);
        }

        LongestFirst = [.. sorted.OrderByDescending(token => token.Bytes.Length).Select(token => token.Id)];
        (_labels, _depths, _tokens) = ([.. labels], [.. depths], [.. tokens]);
        _firstTokens = [.. firstTokens, tokens.Count];
        _skips = Skips(_depths);
    }

    /// <summary>The tokens allowed inside rules that many grammars have. Thread-safe.</summary>
    internal ConcurrentDictionary<string, (uint[] Inside, int[] Unknown)> Known { get; } = new(StringComparer.Ordinal);

    /// <summary>All ids are below this.</summary>
    public int VocabularySize { get; }

    /// <summary>Number of bytes of the longest token.</summary>
    internal int MaxDepth { get; }

    /// <summary>The tokens that a grammar can choose, the longest first.</summary>
    internal int[] LongestFirst { get; }

    /// <summary>The bytes of each token; empty for tokens that no grammar can choose.</summary>
    internal byte[][] Bytes { get; }

    /// <summary>Sets the bits of all tokens that may come next in a state of a grammar.</summary>
    /// <param name="automaton">The grammar.</param>
    /// <param name="state">The state.</param>
    /// <param name="mask">[(vocabulary + 31) / 32], initially zero.</param>
    /// <param name="stack">[<see cref="MaxDepth"/> + 1], overwritten.</param>
    internal void Allow(ByteAutomaton automaton, GrammarState state, Span<uint> mask, Span<GrammarState> stack)
    {
        stack[0] = state;
        for (var node = 0; node < _labels.Length;)
        {
            var depth = _depths[node];
            var next = automaton.Next(stack[depth - 1], _labels[node]);
            if (next == GrammarState.Dead)
            {
                node = _skips[node];
                continue;
            }

            stack[depth] = next;
            for (var token = _firstTokens[node]; token < _firstTokens[node + 1]; token++)
                mask[_tokens[token] / 32] |= 1u << (_tokens[token] % 32);
            node++;
        }
    }

    /// <summary>Sorts the tokens that may come within a rule that is examined alone.</summary>
    /// <param name="automaton">The grammar.</param>
    /// <param name="state">A state of <see cref="ByteAutomaton.Inside(GrammarState)"/>.</param>
    /// <param name="inside">[(vocabulary + 31) / 32], initially zero: receives the bits of the tokens that stay inside.</param>
    /// <param name="stack">[<see cref="MaxDepth"/> + 1], overwritten.</param>
    /// <returns>The tokens that leave the rule: only the text around it can allow or forbid them.</returns>
    internal int[] AllowInside(ByteAutomaton automaton, GrammarState state, Span<uint> inside, Span<GrammarState> stack)
    {
        var unknown = new List<int>();
        var escapesAbove = new bool[MaxDepth + 1]; // whether a text may have left before the last byte
        stack[0] = state;
        for (var node = 0; node < _labels.Length;)
        {
            var depth = _depths[node];
            var hasEscaped = escapesAbove[depth - 1] || (depth > 1 && stack[depth - 1].Escapes);
            var next = automaton.Next(stack[depth - 1], _labels[node]);
            if (next == GrammarState.Dead)
            {
                var end = _skips[node];
                for (var token = _firstTokens[node]; hasEscaped && token < _firstTokens[end]; token++)
                    unknown.Add(_tokens[token]);
                node = end;
                continue;
            }

            stack[depth] = next;
            escapesAbove[depth] = hasEscaped;
            for (var token = _firstTokens[node]; token < _firstTokens[node + 1]; token++)
            {
                if (next.Places.Length > 0)
                    inside[_tokens[token] / 32] |= 1u << (_tokens[token] % 32);
                else
                    unknown.Add(_tokens[token]);
            }

            node++;
        }

        return [.. unknown];
    }

    private static int[] Skips(ushort[] depths)
    {
        var skips = new int[depths.Length];
        var open = new Stack<int>();
        for (var node = 0; node <= depths.Length; node++)
        {
            var depth = node < depths.Length ? depths[node] : 0;
            while (open.TryPeek(out var earlier) && depths[earlier] >= depth)
                skips[open.Pop()] = node;
            if (node < depths.Length)
                open.Push(node);
        }

        return skips;
    }
}
