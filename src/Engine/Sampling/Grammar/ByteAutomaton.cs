namespace LocalLlm.Sampling.Grammar;

/// <summary>
/// A grammar over bytes as a pushdown automaton, made deterministic as far as it is walked: a state stands for a set of places in the rules, each with the stack of rules that are open there.
/// Stacks are shared and numbered, so that equal sets of places are one state. Not thread-safe.
/// </summary>
internal sealed class ByteAutomaton
{
    /// <summary>No text that begins so is in the grammar.</summary>
    public const int Dead = -1;

    private const int Unknown = -2;
    private const int EmptyStack = 0;
    private const int Bytes = 256;

    private readonly GrammarNodes _nodes;
    private readonly GrammarLimits _limits;
    private readonly List<(int Parent, int Return, int Depth)> _stacks = [(-1, -1, 0)];
    private readonly Dictionary<(int Parent, int Return), int> _stackIds = [];
    private readonly List<Place[]> _states = [];
    private readonly List<int[]> _next = [];
    private readonly List<bool> _accepting = [];
    private readonly Dictionary<Place[], int> _stateIds = new(new PlacesComparer());
    private readonly HashSet<Place> _seen = [];
    private readonly Stack<Place> _open = [];
    private readonly List<Place> _found = [];

    /// <param name="nodes">The rules.</param>
    /// <param name="start">Where the grammar begins.</param>
    /// <param name="limits">How large it may become.</param>
    /// <exception cref="GrammarException">It is too large already.</exception>
    public ByteAutomaton(GrammarNodes nodes, int start, GrammarLimits limits)
    {
        _nodes = nodes;
        _limits = limits;
        _open.Push(new(start, EmptyStack));
        Start = Close();
    }

    /// <summary>The state before the first byte.</summary>
    public int Start { get; }

    /// <summary>States known so far.</summary>
    public int StateCount => _states.Count;

    /// <summary>Whether the text so far is a whole text of the grammar.</summary>
    public bool IsAccepting(int state) => _accepting[state];

    /// <summary>The state after one more byte, or <see cref="Dead"/>.</summary>
    /// <exception cref="GrammarException">The automaton has become too large.</exception>
    public int Next(int state, byte value)
    {
        var next = _next[state][value];
        return next == Unknown ? _next[state][value] = Step(state, value) : next;
    }

    private int Step(int state, byte value)
    {
        foreach (var place in _states[state])
        {
            foreach (var edge in _nodes.Ranges(place.Node))
            {
                if (value >= edge.First && value <= edge.Last)
                    _open.Push(new(edge.To, place.Stack));
            }
        }

        return _open.Count == 0 ? Dead : Close();
    }

    // Follows everything that takes no byte: into rules, out of rules, along empty edges.
    private int Close()
    {
        _seen.Clear();
        _found.Clear();
        var accepting = false;
        while (_open.TryPop(out var place))
        {
            if (!_seen.Add(place))
                continue;
            if (_seen.Count > _limits.MaxPlaces)
                throw new GrammarException($"the grammar allows more than {_limits.MaxPlaces} readings of a text at once; make it less ambiguous, and let no rule begin with itself");
            if (_nodes.Ranges(place.Node).Count > 0)
                _found.Add(place);
            foreach (var to in _nodes.Empty(place.Node))
                _open.Push(place with { Node = to });
            foreach (var (rule, back) in _nodes.Calls(place.Node))
                _open.Push(new(_nodes.StartOf(rule), Push(place.Stack, back)));
            if (!_nodes.IsEnd(place.Node))
                continue;
            if (place.Stack == EmptyStack)
                accepting = true;
            else
                _open.Push(new(_stacks[place.Stack].Return, _stacks[place.Stack].Parent));
        }

        return Intern(accepting);
    }

    private int Push(int stack, int back)
    {
        if (_stackIds.TryGetValue((stack, back), out var known))
            return known;
        var depth = _stacks[stack].Depth + 1;
        if (depth > _limits.MaxDepth || _stacks.Count >= _limits.MaxStacks)
            throw new GrammarException($"rules are nested deeper than {_limits.MaxDepth}, or in too many ways");
        _stacks.Add((stack, back, depth));
        _stackIds.Add((stack, back), _stacks.Count - 1);
        return _stacks.Count - 1;
    }

    private int Intern(bool accepting)
    {
        // A place that ends the grammar is told from the others by a mark of its own.
        if (accepting)
            _found.Add(new(-1, EmptyStack));
        if (_found.Count == 0)
            return Dead;
        _found.Sort();
        var places = _found.ToArray();
        if (_stateIds.TryGetValue(places, out var known))
            return known;
        if (_states.Count >= _limits.MaxStates)
            throw new GrammarException($"the grammar needs more than {_limits.MaxStates} states; make it simpler");
        if (accepting)
            places = [.. places.Where(place => place.Node >= 0)];
        _stateIds.Add(_found.ToArray(), _states.Count);
        _states.Add(places);
        _accepting.Add(accepting);
        var next = new int[Bytes];
        Array.Fill(next, Unknown);
        _next.Add(next);
        return _states.Count - 1;
    }

    private readonly record struct Place(int Node, int Stack) : IComparable<Place>
    {
        public int CompareTo(Place other) => Node != other.Node ? Node.CompareTo(other.Node) : Stack.CompareTo(other.Stack);
    }

    private sealed class PlacesComparer : IEqualityComparer<Place[]>
    {
        public bool Equals(Place[]? x, Place[]? y) => x.AsSpan().SequenceEqual(y);

        public int GetHashCode(Place[] places)
        {
            var hash = new HashCode();
            foreach (var place in places)
                hash.Add(place);
            return hash.ToHashCode();
        }
    }
}
