namespace LocalLlm.Grammars;

/// <summary>A deterministic finite automaton over bytes. State 0 is the start; a byte without an edge is not allowed.</summary>
/// <param name="edges">The edges of each state, in byte order and not overlapping.</param>
/// <param name="marks">Per state, bit i: the text so far is in the i-th language; 0: it is in none.</param>
internal sealed class Dfa(Dfa.Edge[][] edges, ulong[] marks)
{
    private const int StateWork = 60;
    private const int EdgeWork = 8;
    private const int MaxRounds = 64;

    /// <summary>An edge for a range of bytes.</summary>
    internal readonly record struct Edge(byte First, byte Last, int To);

    /// <summary>The edges of each state.</summary>
    public Edge[][] Edges { get; } = edges;

    /// <summary>For each state, the languages that contain the text so far.</summary>
    public ulong[] Marks { get; } = marks;

    /// <summary>Number of states.</summary>
    public int Count => Marks.Length;

    /// <summary>The automaton of a language; its texts have mark 1. Null: the language has no text.</summary>
    /// <param name="language">Builds the rules of the language, which must not nest without end.</param>
    /// <param name="budget">Pays for the work.</param>
    /// <exception cref="GrammarException">The automaton has too many states.</exception>
    public static Dfa? Of(Func<GrammarNodes, Fragment> language, SchemaBudget budget)
    {
        if (budget.Automaton(language) is not { } automaton)
            return null;
        var states = new List<GrammarState> { automaton.Start };
        var known = new Dictionary<GrammarState, int> { [automaton.Start] = 0 };
        var edges = new List<Edge[]>();
        var begins = new bool[byte.MaxValue + 1];
        var found = new List<Edge>();
        for (var from = 0; from < states.Count; from++)
        {
            var before = automaton.Work;
            found.Clear();
            begins.AsSpan().Clear();
            automaton.MarkClasses(states[from], begins);
            for (int value = 0, end; value <= byte.MaxValue; value = end)
            {
                end = Array.IndexOf(begins, true, value + 1) is var change && change < 0 ? byte.MaxValue + 1 : change;
                var next = automaton.Step(states[from], (byte)value);
                if (next == GrammarState.Dead)
                    continue;
                if (!known.TryGetValue(next, out var to))
                {
                    known.Add(next, to = states.Count);
                    states.Add(next);
                }

                Append(found, (byte)value, (byte)(end - 1), to);
            }

            edges.Add([.. found]);
            budget.Take(automaton.Work - before + StateWork + (EdgeWork * found.Count));
        }

        return new Dfa([.. edges], [.. states.Select(state => state.IsAccepting ? 1UL : 0)]).Trimmed()?.Minimised(budget);
    }

    /// <summary>The product of two automata; null: no text has a mark.</summary>
    /// <param name="other">The other automaton. Where it has no edge, this automaton continues alone.</param>
    /// <param name="mark">Maps the marks of both to the mark of the product. Pure.</param>
    /// <param name="needsOther">Whether to drop texts for which <paramref name="other"/> has no edges.</param>
    /// <param name="budget">Pays for the work.</param>
    /// <exception cref="GrammarException">The product has too many states.</exception>
    public Dfa? Times(Dfa other, Func<ulong, ulong, ulong> mark, bool needsOther, SchemaBudget budget)
    {
        var pairs = new List<(int Own, int Other)> { (0, 0) };
        var known = new Dictionary<(int, int), int> { [(0, 0)] = 0 };
        var edges = new List<Edge[]>();
        var marks = new List<ulong>();
        var found = new List<Edge>();
        for (var from = 0; from < pairs.Count; from++)
        {
            var (own, theirs) = pairs[from];
            marks.Add(mark(Marks[own], theirs < 0 ? 0 : other.Marks[theirs]));
            found.Clear();
            var others = theirs < 0 ? [] : other.Edges[theirs];
            var next = 0;
            foreach (var edge in Edges[own])
            {
                for (int value = edge.First; value <= edge.Last;)
                {
                    while (next < others.Length && others[next].Last < value)
                        next++;
                    var isIn = next < others.Length && others[next].First <= value;
                    var last = isIn ? Math.Min(edge.Last, others[next].Last) : next < others.Length ? Math.Min(edge.Last, others[next].First - 1) : edge.Last;
                    if (isIn || !needsOther)
                    {
                        var pair = (edge.To, isIn ? others[next].To : -1);
                        if (!known.TryGetValue(pair, out var to))
                        {
                            known.Add(pair, to = pairs.Count);
                            pairs.Add(pair);
                        }

                        Append(found, (byte)value, (byte)last, to);
                    }

                    value = last + 1;
                }
            }

            edges.Add([.. found]);
            budget.Take(StateWork + (EdgeWork * found.Count));
        }

        return new Dfa([.. edges], [.. marks]).Trimmed()?.Minimised(budget);
    }

    /// <summary>The same automaton with other marks; null: no text has one.</summary>
    public Dfa? Marked(Func<int, ulong> mark, SchemaBudget budget) => new Dfa(Edges, [.. Enumerable.Range(0, Count).Select(mark)]).Trimmed()?.Minimised(budget);

    private static void Append(List<Edge> edges, byte first, byte last, int to)
    {
        if (edges.Count > 0 && edges[^1] is var before && before.To == to && before.Last == first - 1)
            edges[^1] = before with { Last = last };
        else
            edges.Add(new(first, last, to));
    }

    // Removes the states that reach no mark; null: the start is one of them.
    private Dfa? Trimmed()
    {
        var before = new List<int>[Count];
        for (var state = 0; state < Count; state++)
        {
            foreach (var edge in Edges[state])
                (before[edge.To] ??= []).Add(state);
        }

        var numbers = new int[Count];
        Array.Fill(numbers, -1);
        var open = new Stack<int>(Enumerable.Range(0, Count).Where(state => Marks[state] != 0));
        while (open.TryPop(out var state))
        {
            if (numbers[state] >= 0)
                continue;
            numbers[state] = 0;
            foreach (var earlier in before[state] ?? [])
                open.Push(earlier);
        }

        if (numbers[0] < 0)
            return null;
        var live = Enumerable.Range(0, Count).Where(state => numbers[state] >= 0).ToArray();
        if (live.Length == Count)
            return this;
        for (var i = 0; i < live.Length; i++)
            numbers[live[i]] = i;
        return new(
            [.. live.Select(state => Edges[state].Where(edge => numbers[edge.To] >= 0).Select(edge => edge with { To = numbers[edge.To] }).ToArray())],
            [.. live.Select(state => Marks[state])]);
    }

    // Merges equivalent states: split by where they lead until nothing changes (Moore, 1956). If that takes many rounds, the
    // automaton is a long chain, and there is little to merge.
    private Dfa Minimised(SchemaBudget budget)
    {
        var kinds = new Dictionary<ulong, int>();
        var classes = Marks.Select(mark => kinds.TryGetValue(mark, out var kind) ? kind : kinds[mark] = kinds.Count).ToArray();
        var count = kinds.Count;
        for (var round = 0; ; round++)
        {
            if (round == MaxRounds)
                return this;
            budget.Take(EdgeWork * (long)Count);
            var known = new Dictionary<(int Class, Edge[] Edges), int>(new SameEdges());
            var next = new int[Count];
            for (var state = 0; state < Count; state++)
            {
                var key = (classes[state], Led(Edges[state], classes));
                if (!known.TryGetValue(key, out next[state]))
                    known.Add(key, next[state] = known.Count);
            }

            classes = next;
            if (known.Count == count)
                break;
            count = known.Count;
        }

        if (count == Count)
            return this;
        var edges = new Edge[count][];
        var marks = new ulong[count];
        for (var state = Count - 1; state >= 0; state--)
            (edges[classes[state]], marks[classes[state]]) = (Led(Edges[state], classes), Marks[state]);
        return new(edges, marks);
    }

    private static Edge[] Led(Edge[] edges, int[] classes)
    {
        var led = new List<Edge>(edges.Length);
        foreach (var edge in edges)
            Append(led, edge.First, edge.Last, classes[edge.To]);
        return [.. led];
    }

    private sealed class SameEdges : IEqualityComparer<(int Class, Edge[] Edges)>
    {
        public bool Equals((int Class, Edge[] Edges) x, (int Class, Edge[] Edges) y) => x.Class == y.Class && x.Edges.AsSpan().SequenceEqual(y.Edges);

        public int GetHashCode((int Class, Edge[] Edges) key)
        {
            var hash = key.Class;
            foreach (var edge in key.Edges)
                hash = unchecked((((((hash * 31) + edge.First) * 31) + edge.Last) * 31) + edge.To);
            return hash;
        }
    }
}
