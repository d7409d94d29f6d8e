using System.Collections;

namespace LocalLlm.Grammars;

/// <summary>
/// A regular language with a limit on the number of characters. Edges of the graph count the characters as a text is read, so the
/// automaton does not grow with the number. A state is entered only if the text can still end within the limits; how many
/// characters each state needs, and how many it can take, is computed beforehand.
/// </summary>
/// <param name="nodes">Receives the rules.</param>
/// <param name="dfa">The language: mark bit 1 is set between characters, bit 0 where texts may end.</param>
/// <param name="least">Minimum number of characters.</param>
/// <param name="most">Maximum number of characters; null: none.</param>
/// <param name="budget">Pays for the work.</param>
internal sealed class CountedCharacters(GrammarNodes nodes, Dfa dfa, int least, int? most, SchemaBudget budget)
{
    private const int Far = int.MaxValue / 4;

    private readonly int[] _shortest = new int[dfa.Count];
    private readonly bool[] _isEndless = new bool[dfa.Count];

    /// <summary>The fragment of the texts.</summary>
    /// <exception cref="UnsatisfiableException">There are no such texts.</exception>
    public Fragment Make()
    {
        FindShortest();
        FindEndless();
        var longest = Longest();
        var exact = Exact();
        var rooms = Enumerable.Range(0, dfa.Count).Select(state => new CountRoom(_shortest[state], longest[state], exact?[state])).ToArray();
        if (!rooms[0].IsPossible(0, least, most))
            throw new UnsatisfiableException("nothing is allowed here");
        var ids = dfa.Marks.Select(_ => nodes.Nothing().Start).ToArray();

        // Each state at a character's end has an entry place, which counts the character.
        var counted = dfa.Marks.Select(mark => mark == 0 ? -1 : nodes.Nothing().Start).ToArray();
        var end = nodes.Nothing().Start;
        for (var state = 0; state < ids.Length; state++)
        {
            if (counted[state] >= 0)
                nodes.ConnectCounted(counted[state], ids[state], rooms[state]);
            if ((dfa.Marks[state] & 1) != 0)
                nodes.Connect(ids[state], end);
            foreach (var (first, last, to) in dfa.Edges[state])
                nodes.Connect(ids[state], first, last, counted[to] >= 0 ? counted[to] : ids[to]);
        }

        var rule = nodes.DeclareRule();
        nodes.DefineRule(rule, new(ids[0], end));
        return nodes.CallCounted(rule, least, most, rooms.Where(room => room.Shortest < Far).Max(room => room.Shortest));
    }

    private int Cost(int to) => dfa.Marks[to] == 0 ? 0 : 1;

    // Characters from each state to the nearest end: an edge costs one character or none (0-1 search, backwards from the ends).
    private void FindShortest()
    {
        var before = new List<int>[dfa.Count];
        for (var state = 0; state < dfa.Count; state++)
        {
            foreach (var edge in dfa.Edges[state])
                (before[edge.To] ??= []).Add(state);
        }

        Array.Fill(_shortest, Far);
        var open = new LinkedList<int>();
        for (var state = 0; state < dfa.Count; state++)
        {
            if ((dfa.Marks[state] & 1) == 0)
                continue;
            _shortest[state] = 0;
            open.AddLast(state);
        }

        while (open.First is { Value: var state })
        {
            open.RemoveFirst();
            foreach (var earlier in before[state] ?? [])
            {
                if (_shortest[state] + Cost(state) >= _shortest[earlier])
                    continue;
                _shortest[earlier] = _shortest[state] + Cost(state);
                if (Cost(state) == 0)
                    open.AddFirst(earlier);
                else
                    open.AddLast(earlier);
            }
        }
    }

    // States from which texts can be arbitrarily long: repeatedly remove the states without a way on; these are what remains.
    private void FindEndless()
    {
        var ways = dfa.Edges.Select(edges => edges.Length).ToArray();
        var before = new List<int>[dfa.Count];
        for (var state = 0; state < dfa.Count; state++)
        {
            foreach (var edge in dfa.Edges[state])
                (before[edge.To] ??= []).Add(state);
        }

        Array.Fill(_isEndless, true);
        var open = new Stack<int>(Enumerable.Range(0, dfa.Count).Where(state => ways[state] == 0));
        while (open.TryPop(out var state))
        {
            _isEndless[state] = false;
            foreach (var earlier in before[state] ?? [])
            {
                if (--ways[earlier] == 0)
                    open.Push(earlier);
            }
        }
    }

    // The maximum number of characters from each state. States that are not endless form no cycle.
    private int[] Longest()
    {
        var longest = new int[dfa.Count];
        Array.Fill(longest, -1);
        var open = new Stack<int>(Enumerable.Range(0, dfa.Count));
        while (open.TryPeek(out var state))
        {
            if (longest[state] >= 0 || _isEndless[state])
            {
                longest[state] = _isEndless[state] ? Far : longest[state];
                open.Pop();
                continue;
            }

            var isReady = true;
            foreach (var edge in dfa.Edges[state])
            {
                if (longest[edge.To] >= 0 || _isEndless[edge.To])
                    continue;
                isReady = false;
                open.Push(edge.To);
            }

            if (isReady)
                longest[state] = dfa.Edges[state].Select(edge => (_isEndless[edge.To] ? Far : longest[edge.To]) + Cost(edge.To)).DefaultIfEmpty(0).Max();
        }

        return longest;
    }

    // If the two bounds are close, some length in between may be impossible. Then compute for each count whether an end is reachable.
    private BitArray[]? Exact()
    {
        if (most is not { } highest || least == 0 || highest - least >= dfa.Count)
            return null;
        var size = highest + 1;
        var edges = dfa.Edges.Sum(list => list.Length);
        budget.Take((long)size * edges);

        // By count, from the highest down. Edges within a character count nothing and form no cycle.
        var possible = dfa.Marks.Select(_ => new BitArray(size)).ToArray();
        var order = WithinCharacters();
        for (var count = highest; count >= 0; count--)
        {
            foreach (var state in order)
            {
                var isPossible = (dfa.Marks[state] & 1) != 0 && count >= least;
                foreach (var edge in dfa.Edges[state])
                    isPossible |= count + Cost(edge.To) <= highest && possible[edge.To][count + Cost(edge.To)];
                possible[state][count] = isPossible;
            }
        }

        return possible;
    }

    // All states; each one comes after the states within characters that it leads to.
    private List<int> WithinCharacters()
    {
        var order = new List<int>(dfa.Count);
        var seen = new bool[dfa.Count];
        for (var first = 0; first < dfa.Count; first++)
            Visit(first);
        return order;

        void Visit(int state)
        {
            if (seen[state])
                return;
            seen[state] = true;
            foreach (var edge in dfa.Edges[state])
            {
                if (Cost(edge.To) == 0)
                    Visit(edge.To);
            }

            order.Add(state);
        }
    }
}

/// <summary>How many characters may follow a place of a counted text.</summary>
/// <param name="Shortest">Minimum number of characters to an end.</param>
/// <param name="Longest">Maximum number of characters to an end, or more than any text has.</param>
/// <param name="Exact">For each count so far, whether an end can be reached; null: the other two fields suffice.</param>
internal sealed record CountRoom(int Shortest, int Longest, BitArray? Exact)
{
    /// <summary>Whether a text with this many characters so far can end within the bounds.</summary>
    public bool IsPossible(int count, int least, int? most) =>
        count + (long)Shortest <= (most ?? int.MaxValue) && count + (long)Longest >= least && (Exact is null || (count < Exact.Count && Exact[count]));
}
