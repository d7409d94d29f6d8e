using System.Collections.Concurrent;

namespace LocalLlm.Grammars;

/// <summary>
/// A vocabulary: its tokens by their bytes, in the order of a walk from the root: a walk that meets a byte which leads nowhere skips
/// everything below. Immutable but for what it remembers.
/// </summary>
public sealed class TokenTrie
{
    private readonly byte[] _labels;
    private readonly ushort[] _depths; // of the root's children: 1
    private readonly int[] _skips; // the node after everything below
    private readonly int[] _firstTokens; // per node: where its tokens begin in _tokens
    private readonly int[] _tokens;

    /// <summary>Sorts a vocabulary; a tenth of a second for a large one, so that it is made once.</summary>
    /// <param name="count">Tokens of the vocabulary.</param>
    /// <param name="bytesOf">The bytes of a token; empty: it can never be chosen by a grammar (special tokens).</param>
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

    /// <summary>What the insides of rules allow that many grammars have. Thread-safe.</summary>
    internal ConcurrentDictionary<string, (uint[] Inside, int[] Unknown)> Known { get; } = new(StringComparer.Ordinal);

    /// <summary>Ids are below this.</summary>
    public int VocabularySize { get; }

    /// <summary>Bytes of the longest token.</summary>
    internal int MaxDepth { get; }

    /// <summary>The tokens that a grammar can choose, those of most bytes first.</summary>
    internal int[] LongestFirst { get; }

    /// <summary>Bytes of each token; empty for those that no grammar can choose.</summary>
    internal byte[][] Bytes { get; }

    /// <summary>Sets the bits of all tokens that may come in a state of a grammar.</summary>
    /// <param name="automaton">The grammar.</param>
    /// <param name="state">The state.</param>
    /// <param name="mask">[(vocabulary + 31) / 32], zero before.</param>
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

    /// <summary>Sorts the tokens that may come within a rule that is looked at by itself.</summary>
    /// <param name="automaton">The grammar.</param>
    /// <param name="state">A state of <see cref="ByteAutomaton.Inside(GrammarState)"/>.</param>
    /// <param name="inside">[(vocabulary + 31) / 32], zero before: gets the bits of those that stay inside.</param>
    /// <param name="stack">[<see cref="MaxDepth"/> + 1], overwritten.</param>
    /// <returns>Those that leave it, so that the text around must say whether they may come.</returns>
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
