namespace LocalLlm.Sampling.Grammar;

/// <summary>
/// Texts told apart by several languages at once: the product of their automata (Hopcroft, Ullman), without the states from which no allowed text is left. What single languages cannot say is possible so: both of two
/// patterns, a pattern and a length, all but some names, multiples between two bounds.
/// </summary>
internal sealed class LanguageProduct
{
    private readonly List<ByteAutomaton> _automata = [];
    private readonly SchemaBudget _budget;

    /// <param name="budget">The states that may be made.</param>
    /// <param name="all">Texts that there are at all.</param>
    public LanguageProduct(SchemaBudget budget, Func<GrammarNodes, Fragment> all)
    {
        _budget = budget;
        Add(all);
    }

    /// <summary>Adds a language.</summary>
    /// <exception cref="GrammarException">It is too large.</exception>
    public void Add(Func<GrammarNodes, Fragment> language)
    {
        var nodes = new GrammarNodes(GrammarLimits.Default);
        _automata.Add(new(nodes, nodes.Finish(language(nodes)), GrammarLimits.Default));
    }

    /// <summary>Texts by what they are: one way in, and a way out for every kind.</summary>
    /// <param name="nodes">Gets the rules.</param>
    /// <param name="kindOf">From the languages that a text is in (in the order in which they were added) to its kind; below 0: it is not allowed. Pure.</param>
    /// <exception cref="GrammarException">There are too many states, or no text is allowed.</exception>
    public (int Start, Dictionary<int, int> Ends) Make(GrammarNodes nodes, Func<bool[], int> kindOf)
    {
        var (states, edges) = Explore();
        var kinds = states.Select(state => kindOf([.. state.Skip(1).Select(part => part.IsAccepting)]) is var kind && state[0].IsAccepting ? kind : -1).ToArray();
        var isLive = Live(kinds, edges);
        if (!isLive[0])
            throw new UnsatisfiableException("nothing is allowed here");
        var ids = isLive.Select(live => live ? nodes.Nothing().Start : -1).ToArray();
        var ends = kinds.Where(kind => kind >= 0).Distinct().ToDictionary(kind => kind, _ => nodes.Nothing().Start);
        for (var state = 0; state < ids.Length; state++)
        {
            if (ids[state] < 0)
                continue;
            if (kinds[state] >= 0)
                nodes.Connect(ids[state], ends[kinds[state]]);
            foreach (var (first, last, to) in edges[state])
            {
                if (ids[to] >= 0)
                    nodes.Connect(ids[state], first, last, ids[to]);
            }
        }

        return (ids[0], ends);
    }

    private (List<GrammarState[]> States, List<List<(byte First, byte Last, int To)>> Edges) Explore()
    {
        var states = new List<GrammarState[]> { _automata.Select(automaton => automaton.Start).ToArray() };
        var known = new Dictionary<GrammarState[], int>(new SameParts()) { [states[0]] = 0 };
        var edges = new List<List<(byte First, byte Last, int To)>>();
        var begins = new bool[byte.MaxValue + 1];
        for (var from = 0; from < states.Count; from++)
        {
            var found = new List<(byte First, byte Last, int To)>();
            begins.AsSpan().Clear();
            for (var i = 0; i < _automata.Count; i++)
                _automata[i].MarkClasses(states[from][i], begins);
            for (int value = 0, end; value <= byte.MaxValue; value = end)
            {
                end = Array.IndexOf(begins, true, value + 1) is var change && change < 0 ? byte.MaxValue + 1 : change;
                // The first automaton says what a text is at all.
                if (_automata[0].Next(states[from][0], (byte)value) == GrammarState.Dead)
                    continue;
                var next = states[from].Select((part, i) => _automata[i].Next(part, (byte)value)).ToArray();
                if (!known.TryGetValue(next, out var to))
                {
                    _budget.TakeState();
                    known.Add(next, to = states.Count);
                    states.Add(next);
                }

                if (found.Count > 0 && found[^1] is var last && last.To == to && last.Last == value - 1)
                    found[^1] = last with { Last = (byte)(end - 1) };
                else
                    found.Add(((byte)value, (byte)(end - 1), to));
            }

            edges.Add(found);
        }

        return (states, edges);
    }

    // From which states a text of some kind can be reached.
    private static bool[] Live(int[] kinds, List<List<(byte First, byte Last, int To)>> edges)
    {
        var before = Enumerable.Range(0, kinds.Length).Select(_ => new List<int>()).ToArray();
        for (var state = 0; state < kinds.Length; state++)
        {
            foreach (var (_, _, to) in edges[state])
                before[to].Add(state);
        }

        var live = new bool[kinds.Length];
        var open = new Stack<int>(Enumerable.Range(0, kinds.Length).Where(state => kinds[state] >= 0));
        while (open.TryPop(out var state))
        {
            if (live[state])
                continue;
            live[state] = true;
            foreach (var earlier in before[state])
                open.Push(earlier);
        }

        return live;
    }

    private sealed class SameParts : IEqualityComparer<GrammarState[]>
    {
        public bool Equals(GrammarState[]? x, GrammarState[]? y) => x.AsSpan().SequenceEqual(y);

        public int GetHashCode(GrammarState[] parts)
        {
            var hash = new HashCode();
            foreach (var part in parts)
                hash.Add(System.Runtime.CompilerServices.RuntimeHelpers.GetHashCode(part));
            return hash.ToHashCode();
        }
    }
}
