using System.Runtime.InteropServices;
using Place = LocalLlm.Sampling.Grammar.GrammarState.Place;

namespace LocalLlm.Sampling.Grammar;

/// <summary>
/// A grammar over bytes as a pushdown automaton, made deterministic as far as it is walked: a state stands for a set of places in the rules, each with the stack of rules that are open there. Equal sets are one state.
/// What it knows is forgotten when it takes too much room; states that are held stay valid, and <see cref="Renewed"/> brings them into the present. Not thread-safe.
/// </summary>
internal sealed class ByteAutomaton
{
    private const int StateBytes = 2_400; // the row of states after it, mostly
    private const int StackBytes = 120;
    private const int PlaceBytes = 16;
    private const int Unknown = -2; // where a rule returns to that is looked at by itself

    private readonly GrammarNodes _nodes;
    private readonly GrammarLimits _limits;
    private readonly Dictionary<(GrammarStack? Parent, int Return, int Loop, int Count), GrammarStack> _stacks = [];
    private readonly Dictionary<Place[], GrammarState> _states = new(new PlacesComparer());
    private readonly HashSet<Place> _seen = [];
    private readonly Stack<Place> _open = [];
    private readonly List<Place> _found = [];
    private readonly int _firstNodes;
    private int _generation;
    private long _heldBytes;
    private long _work;
    private long _workLimit;
    private bool _escapes;

    /// <param name="nodes">The rules.</param>
    /// <param name="start">Where the grammar begins.</param>
    /// <param name="limits">How large it may become.</param>
    /// <param name="startAfterThought">Where it begins after a thought; null: at <paramref name="start"/> too.</param>
    /// <exception cref="GrammarException">It is too large already, or has no text at all.</exception>
    public ByteAutomaton(GrammarNodes nodes, int start, GrammarLimits limits, int? startAfterThought = null)
    {
        _nodes = nodes;
        _limits = limits;
        _workLimit = limits.MaxWork;
        _firstNodes = nodes.Count;
        _open.Push(new(start, null));
        Start = StartAfterThought = Close();
        if (startAfterThought is { } node)
        {
            _open.Push(new(node, null));
            StartAfterThought = Close();
        }

        _workLimit = long.MaxValue;
        if (Start == GrammarState.Dead)
            throw new GrammarException("the grammar has no text");
    }

    /// <summary>The state before the first byte.</summary>
    public GrammarState Start { get; private set; }

    /// <summary>The state before the first byte after a thought.</summary>
    public GrammarState StartAfterThought { get; private set; }

    /// <summary>States known at the moment.</summary>
    public int StateCount => _states.Count;

    /// <summary>Whether half of the room for nodes that are made on the way is used up.</summary>
    public bool IsWornOut => _nodes.IsBroken || _nodes.Count - _firstNodes > (_limits.MaxNodes - _firstNodes) / 2;

    /// <summary>About how much memory it holds, in bytes.</summary>
    public long HeldBytes => _heldBytes + _nodes.HeldBytes;

    /// <summary>The state after one more byte, or <see cref="GrammarState.Dead"/>.</summary>
    /// <exception cref="GrammarException">The text can be read in too many ways, or the work that was allowed is used up.</exception>
    public GrammarState Next(GrammarState state, byte value) => (state.Next ?? FirstNext(state))[value] ?? (state.Next![value] = Step(state, value));

    /// <summary>Marks the bytes at which what may follow a state changes: between two marks all bytes lead to one state.</summary>
    public void MarkClasses(GrammarState state, Span<bool> begins)
    {
        begins[0] = true;
        foreach (var place in state.Places)
        {
            for (var edge = _nodes.FirstRange(place.Node); edge >= 0; edge = _nodes.RangeOf(edge).Other)
            {
                begins[_nodes.RangeOf(edge).First] = true;
                if (_nodes.RangeOf(edge).Last < byte.MaxValue)
                    begins[_nodes.RangeOf(edge).Last + 1] = true;
            }
        }
    }

    /// <summary>The same state as the automaton knows it now. Forgets everything first when that has grown too large.</summary>
    public GrammarState Renewed(GrammarState state)
    {
        if (_heldBytes > _limits.MaxBytes)
        {
            _stacks.Clear();
            _states.Clear();
            _heldBytes = 0;
            _generation++;
            Start = Intern(Start.Places, Start.IsAccepting);
            StartAfterThought = Intern(StartAfterThought.Places, StartAfterThought.IsAccepting);
        }

        return state == GrammarState.Dead || state.Generation == _generation ? state : Intern(state.Places, state.IsAccepting);
    }

    /// <summary>
    /// The state as it would be if all repetitions that may end already had just become able to: every text that may follow the state may follow that one, and the other way round for texts of at most
    /// <paramref name="remaining"/> bytes.
    /// </summary>
    /// <param name="state">The state.</param>
    /// <param name="remaining">Repetitions that are left to the one that has fewest left; <see cref="int.MaxValue"/>: nothing was changed.</param>
    public GrammarState Relaxed(GrammarState state, out int remaining)
    {
        remaining = int.MaxValue;
        var places = new HashSet<Place>();
        _work += state.Places.Length;
        foreach (var place in state.Places)
            places.Add(place.Stack?.HasLoop == true ? place with { Stack = Relaxed(place.Stack, ref remaining) } : place);
        if (remaining == int.MaxValue)
            return state;
        var sorted = places.ToArray();
        Array.Sort(sorted);
        return Intern(sorted, state.IsAccepting);
    }

    private GrammarStack Relaxed(GrammarStack stack, ref int remaining)
    {
        var parent = stack.Parent?.HasLoop == true ? Relaxed(stack.Parent, ref remaining) : stack.Parent;
        var count = stack.Count;
        if (stack.Loop >= 0 && _nodes.LoopOf(stack.Loop) is var loop && loop.Most != int.MaxValue && count > Math.Max(1, loop.Least))
        {
            remaining = Math.Min(remaining, loop.Most - count);
            count = Math.Max(1, loop.Least);
        }

        return ReferenceEquals(parent, stack.Parent) && count == stack.Count ? stack : StackOf(parent, stack.Return, stack.Loop, count, stack.IsShared);
    }

    /// <summary>
    /// The state within the innermost shared rules by itself, whatever is around them; null: some reading of the text is within none. Its <see cref="GrammarState.Escapes"/> tells when a text may have left them.
    /// </summary>
    public GrammarState? Inside(GrammarState state)
    {
        if (state.IsAccepting || state.Escapes)
            return null;
        var places = new HashSet<Place>();
        _work += state.Places.Length;
        foreach (var place in state.Places)
        {
            if (place.Stack is null || Inside(place.Stack) is not { } stack)
                return null;
            places.Add(place with { Stack = stack });
        }

        var sorted = places.ToArray();
        Array.Sort(sorted);
        return Intern(sorted, accepting: false);
    }

    /// <summary>The shared rules by themselves, each before its first byte.</summary>
    public IEnumerable<(string? Name, GrammarState Start)> SharedRules() => _nodes.Shared.Select(rule =>
    {
        _open.Clear();
        _open.Push(new(_nodes.StartOf(rule.Key), StackOf(null, Unknown, -1, 0, isShared: false)));
        return (rule.Value, Close());
    });

    private GrammarStack? Inside(GrammarStack stack)
    {
        if (stack.IsShared)
            return StackOf(null, Unknown, -1, 0, isShared: false);
        return stack.Parent is { } parent && Inside(parent) is { } around ? StackOf(around, stack.Return, stack.Loop, stack.Count, isShared: false) : null;
    }

    /// <summary>Counts memory that somebody keeps with a state, such as its mask.</summary>
    public void Hold(long bytes) => _heldBytes += bytes;

    /// <summary>Does something with a limit to the steps through the rules.</summary>
    /// <param name="credit">Steps that are allowed, then those that are left.</param>
    /// <param name="action">What is to be done.</param>
    /// <exception cref="GrammarException">They were not enough.</exception>
    public void Limited(ref long credit, Action action)
    {
        var before = _work;
        _workLimit = credit > long.MaxValue - before ? long.MaxValue : before + Math.Max(0, credit);
        try
        {
            action();
        }
        finally
        {
            credit -= _work - before;
            _workLimit = long.MaxValue;
        }
    }

    // Bytes that lead nowhere are known at once.
    private GrammarState?[] FirstNext(GrammarState state)
    {
        var next = state.MakeNext();
        if (state == GrammarState.Dead)
        {
            Array.Fill(next, GrammarState.Dead);
            return next;
        }

        Span<bool> leads = stackalloc bool[256];
        foreach (var place in state.Places)
        {
            for (var edge = _nodes.FirstRange(place.Node); edge >= 0; edge = _nodes.RangeOf(edge).Other)
            {
                var range = _nodes.RangeOf(edge);
                leads[range.First..(range.Last + 1)].Fill(true);
                _work++;
            }
        }

        for (var value = 0; value < next.Length; value++)
            next[value] = leads[value] ? null : GrammarState.Dead;
        return next;
    }

    private GrammarState Step(GrammarState state, byte value)
    {
        // What an exception left behind.
        _open.Clear();
        foreach (var place in state.Places)
        {
            for (var edge = _nodes.FirstRange(place.Node); edge >= 0; edge = _nodes.RangeOf(edge).Other)
            {
                var range = _nodes.RangeOf(edge);
                _work++;
                if (value >= range.First && value <= range.Last)
                    _open.Push(place with { Node = range.To });
            }
        }

        return Close();
    }

    // Follows everything that takes no byte: into rules, out of rules, along empty edges.
    private GrammarState Close()
    {
        _seen.Clear();
        _found.Clear();
        _escapes = false;
        var accepting = false;
        while (_open.TryPop(out var place))
        {
            if (!_seen.Add(place))
                continue;
            if (_seen.Count > _limits.MaxPlaces)
                throw new GrammarException($"the grammar allows more than {_limits.MaxPlaces} readings of a text at once; make it less ambiguous");
            _work += 10;
            if (_work > _workLimit)
                throw new GrammarException("the grammar takes too much work at each token; make it less ambiguous, and its repetitions fewer");
            if (_nodes.FirstRange(place.Node) >= 0)
                _found.Add(place);
            for (var edge = _nodes.FirstEmpty(place.Node); edge >= 0; edge = _nodes.EmptyOf(edge).Other)
                _open.Push(place with { Node = _nodes.EmptyOf(edge).To });
            for (var edge = _nodes.FirstCall(place.Node); edge >= 0; edge = _nodes.CallOf(edge).Other)
                Enter(place.Stack, _nodes.CallOf(edge).Rule, _nodes.CallOf(edge).Back, -1, 0);
            for (var edge = _nodes.FirstLoop(place.Node); edge >= 0; edge = _nodes.LoopOf(edge).Other)
                Enter(place.Stack, _nodes.LoopOf(edge).Rule, _nodes.LoopOf(edge).Back, edge, 1);
            if (!_nodes.IsEnd(place.Node))
                continue;
            if (place.Stack is { } stack)
                Leave(stack);
            else
                accepting = true;
        }

        _found.Sort();
        return Intern(CollectionsMarshal.AsSpan(_found), accepting, _escapes);
    }

    // Deeper than the limit no rule can be entered: the text has to go on another way.
    private void Enter(GrammarStack? around, int rule, int back, int loop, int count)
    {
        if (around?.Depth >= _limits.MaxDepth || _nodes.IsEndless(rule))
            return;
        _open.Push(new(_nodes.StartOf(rule), StackOf(around, back, loop, count, loop < 0 && _nodes.IsShared(rule))));
    }

    private void Leave(GrammarStack stack)
    {
        if (stack.Return == Unknown)
        {
            _escapes = true;
            return;
        }

        if (stack.Loop < 0)
        {
            _open.Push(new(stack.Return, stack.Parent));
            return;
        }

        // Beyond the fewest the number matters only where there is a most.
        var loop = _nodes.LoopOf(stack.Loop);
        if (stack.Count >= loop.Least)
            _open.Push(new(stack.Return, stack.Parent));
        if (stack.Count < loop.Most)
            Enter(stack.Parent, loop.Rule, loop.Back, stack.Loop, loop.Most == int.MaxValue ? Math.Min(stack.Count + 1, Math.Max(1, loop.Least)) : stack.Count + 1);
    }

    private GrammarStack StackOf(GrammarStack? around, int back, int loop, int count, bool isShared)
    {
        if (_stacks.TryGetValue((around, back, loop, count), out var stack))
            return stack;
        _stacks.Add((around, back, loop, count), stack = new(around, back, loop, count, isShared));
        _heldBytes += StackBytes;
        return stack;
    }

    private GrammarState Intern(ReadOnlySpan<Place> found, bool accepting, bool escapes = false)
    {
        if (found.IsEmpty && !accepting && !escapes)
            return GrammarState.Dead;

        // A set that ends the grammar, or leaves it, is told from others by a place of its own.
        Place[] key = accepting || escapes ? [.. found, new(escapes ? Unknown : -1, null)] : [.. found];
        if (_states.TryGetValue(key, out var known))
            return known;
        var state = new GrammarState(accepting || escapes ? [.. found] : key, accepting, _generation, escapes);
        _states.Add(key, state);
        _heldBytes += StateBytes + (PlaceBytes * (long)key.Length * (accepting ? 2 : 1));
        return state;
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
