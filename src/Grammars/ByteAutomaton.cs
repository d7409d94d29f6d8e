using System.Runtime.InteropServices;
using Place = LocalLlm.Grammars.GrammarState.Place;

namespace LocalLlm.Grammars;

/// <summary>
/// A grammar over bytes as a pushdown automaton, made deterministic as far as texts walk it. A state is a set of places in the rules, each
/// with its stack of open rules; equal sets are one state. When its memory grows too large, the automaton forgets all states. States that
/// callers hold stay valid, and <see cref="Renewed"/> returns the current version of one. Not thread-safe.
/// </summary>
internal sealed class ByteAutomaton
{
    private const int StateBytes = 2_400; // mostly for the row of next states
    private const int PlaceBytes = 16;
    private const int RowWork = 40;
    private const int PlaceWork = 25;
    private const int StackWork = 5;

    private readonly GrammarNodes _nodes;
    private readonly GrammarLimits _limits;
    private readonly GrammarStacks _stacks;
    private readonly Dictionary<Place[], GrammarState> _states = new(new GrammarState.SamePlaces());

    // Around a node: null if no rule is open, a GrammarStack for rules entered before the last byte, a GrammarFrame for a rule
    // entered since.
    private readonly HashSet<(int Node, object? Around)> _seen = [];
    private readonly Stack<(int Node, object? Around)> _open = [];
    private readonly List<(int Node, object? Around)> _found = [];
    private readonly Dictionary<int, GrammarFrame> _frames = [];
    private readonly List<Place> _places = [];
    private readonly int _firstNodes;
    private int _generation;
    private long _heldBytes;
    private long _work;
    private long _workLimit;
    private long _bytesLimit = long.MaxValue;
    private bool _escapes;

    /// <param name="nodes">The rules.</param>
    /// <param name="start">Where the grammar begins.</param>
    /// <param name="limits">How large the automaton may become.</param>
    /// <param name="startAfterThought">Where the grammar begins after a thought; null: at <paramref name="start"/> too.</param>
    /// <exception cref="GrammarException">The grammar is already too large, or contains no text at all.</exception>
    public ByteAutomaton(GrammarNodes nodes, int start, GrammarLimits limits, int? startAfterThought = null)
    {
        _nodes = nodes;
        _limits = limits;
        _stacks = new(nodes);
        _workLimit = limits.MaxWork;
        _firstNodes = nodes.Count;
        _open.Push((start, null));
        Start = StartAfterThought = Close();
        if (startAfterThought is { } node)
        {
            _open.Push((node, null));
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

    /// <summary>Number of states the automaton knows at the moment.</summary>
    public int StateCount => _states.Count;

    /// <summary>Steps taken through the rules so far.</summary>
    public long Work => _work;

    /// <summary>Whether half of the room for nodes that texts add on their way is used up.</summary>
    public bool IsWornOut => _nodes.IsBroken || _nodes.Count - _firstNodes > (_limits.MaxNodes - _firstNodes) / 2;

    /// <summary>Approximate memory use in bytes.</summary>
    public long HeldBytes => _heldBytes + _stacks.HeldBytes + _nodes.HeldBytes;

    /// <summary>The state after one more byte, or <see cref="GrammarState.Dead"/>.</summary>
    /// <exception cref="GrammarException">The text can be read in too many ways, or the work limit was reached.</exception>
    public GrammarState Next(GrammarState state, byte value) => (state.Next ?? FirstNext(state))[value] ?? (state.Next![value] = Step(state, value));

    /// <summary>Marks the bytes where the next state may change: all bytes between two marks lead to one state.</summary>
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

    /// <summary>The current version of a state. If the automaton has grown too large, it first forgets everything.</summary>
    public GrammarState Renewed(GrammarState state)
    {
        if (_heldBytes + _stacks.HeldBytes > _limits.MaxBytes)
        {
            _stacks.Clear();
            _states.Clear();
            _heldBytes = 0;
            _generation++;
            Start = Again(Start);
            StartAfterThought = Again(StartAfterThought);
        }

        return state == GrammarState.Dead || state.Generation == _generation ? state : Again(state);
    }

    private GrammarState Again(GrammarState state) => Intern(Changed(state.Places, _stacks.Renewed), state.IsAccepting, state.Escapes);

    private Place[] Changed(Place[] places, Func<GrammarStack, GrammarStack> change)
    {
        var made = _stacks.Made;
        Place[] changed = [.. places.Select(place => place with { Stack = place.Stack is null ? null : change(place.Stack) })];
        _work += _stacks.Made - made;
        return changed;
    }

    /// <summary>
    /// The state with all repetitions that may already end set back to the point where they first could. Every text that may follow the
    /// given state may follow the returned one. The reverse holds for texts of at most <paramref name="remaining"/> bytes.
    /// </summary>
    /// <param name="state">The state.</param>
    /// <param name="remaining">Repetitions left to the one that has the fewest; <see cref="int.MaxValue"/>: no change.</param>
    public GrammarState Relaxed(GrammarState state, out int remaining)
    {
        var fewest = int.MaxValue;
        var relaxed = Changed(state.Places, stack => stack.HasLoop ? _stacks.Relaxed(stack, ref fewest) : stack);
        remaining = fewest;
        return fewest == int.MaxValue ? state : Intern(relaxed, state.IsAccepting);
    }

    /// <summary>
    /// The state within the innermost shared rules alone, whatever surrounds them; null if some reading of the text is in no
    /// shared rule. Its <see cref="GrammarState.Escapes"/> says whether a text may have left these rules.
    /// </summary>
    public GrammarState? Inside(GrammarState state)
    {
        if (state.IsAccepting || state.Escapes)
            return null;
        var places = new Place[state.Places.Length];
        for (var i = 0; i < places.Length; i++)
        {
            var (node, around) = state.Places[i];
            if (around is null || _stacks.Inside(around) is not { } stack)
                return null;
            places[i] = new(node, stack);
            _work += stack.Depth;
        }

        return Intern(places, accepting: false);
    }

    /// <summary>The shared rules, each alone and before its first byte.</summary>
    public IEnumerable<(string? Name, GrammarState Start)> SharedRules() => _nodes.Shared.Select(rule =>
    {
        _open.Clear();
        _open.Push((_nodes.StartOf(rule.Key), _stacks.Alone));
        return (rule.Value, Close());
    });

    /// <summary>Counts memory that a caller stores with a state, such as its mask.</summary>
    public void Hold(long bytes) => _heldBytes += bytes;

    /// <summary>Runs an action with a limit on the steps through the rules.</summary>
    /// <param name="credit">In: the allowed steps. Out: the steps left.</param>
    /// <param name="action">The action.</param>
    /// <exception cref="GrammarException">The action reached the limit.</exception>
    public void Limited(ref long credit, Action action) => Limited(ref credit, long.MaxValue, action);

    /// <summary>Runs an action with a limit on the steps through the rules and on memory.</summary>
    /// <param name="credit">In: the allowed steps. Out: the steps left.</param>
    /// <param name="bytes">Bytes that states may take.</param>
    /// <param name="action">The action.</param>
    /// <exception cref="GrammarException">The action reached a limit.</exception>
    public void Limited(ref long credit, long bytes, Action action)
    {
        _bytesLimit = bytes;
        var before = _work;
        _workLimit = credit > long.MaxValue - before ? long.MaxValue : before + Math.Max(0, credit);
        try
        {
            action();
        }
        finally
        {
            credit -= _work - before;
            (_workLimit, _bytesLimit) = (long.MaxValue, long.MaxValue);
        }
    }

    // Bytes without an edge lead to the dead state at once.
    private GrammarState?[] FirstNext(GrammarState state)
    {
        var next = state.MakeNext();
        Charge(RowWork);
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

    /// <summary>Like <see cref="Next"/>, but does not remember the result.</summary>
    /// <exception cref="GrammarException">The text can be read in too many ways, or the work limit was reached.</exception>
    public GrammarState Step(GrammarState state, byte value)
    {
        // An exception may have left these behind.
        _open.Clear();
        foreach (var place in state.Places)
        {
            for (var edge = _nodes.FirstRange(place.Node); edge >= 0; edge = _nodes.RangeOf(edge).Other)
            {
                var range = _nodes.RangeOf(edge);
                _work++;
                if (value >= range.First && value <= range.Last)
                    _open.Push((range.To, place.Stack));
            }
        }

        return Close();
    }

    // Follows everything that takes no byte: into rules, out of rules, along empty edges.
    private GrammarState Close()
    {
        _seen.Clear();
        _found.Clear();
        _frames.Clear();
        _escapes = false;
        var accepting = false;
        while (_open.TryPop(out var place))
        {
            if (!_seen.Add(place))
                continue;
            if (_seen.Count > _limits.MaxPlaces)
                throw new GrammarException($"the grammar allows more than {_limits.MaxPlaces} readings of a text at once; make it less ambiguous");
            Charge(PlaceWork);
            var (node, around) = place;
            if (_nodes.FirstRange(node) >= 0)
                _found.Add(place);
            for (var edge = _nodes.FirstEmpty(node); edge >= 0; edge = _nodes.EmptyOf(edge).Other)
                _open.Push(place with { Node = _nodes.EmptyOf(edge).To });
            for (var edge = _nodes.FirstCall(node); edge >= 0; edge = _nodes.CallOf(edge).Other)
                Enter(around, _nodes.CallOf(edge).Rule, _nodes.CallOf(edge).Back, -1, 0);
            for (var edge = _nodes.FirstLoop(node); edge >= 0; edge = _nodes.LoopOf(edge).Other)
                Enter(around, _nodes.LoopOf(edge).Rule, _nodes.LoopOf(edge).Back, edge, _nodes.LoopOf(edge).Needs < 0 ? 1 : 0);
            for (var edge = _nodes.FirstCounted(node); edge >= 0; edge = _nodes.CountedOf(edge).Other)
            {
                if (_stacks.Counted((GrammarStack)around!, _nodes.CountedOf(edge).Room) is { } counted)
                    _open.Push((_nodes.CountedOf(edge).To, counted));
            }

            if (!_nodes.IsEnd(node))
                continue;
            if (around is null)
                accepting = true;
            else
                Leave(around);
        }

        return Intern(Merged(), accepting, _escapes);
    }

    // One place per node: its stack is the union of all stacks found with the node.
    private ReadOnlySpan<Place> Merged()
    {
        _places.Clear();
        var made = _stacks.Made;
        foreach (var (node, around) in _found)
            _places.Add(new(node, around switch { null => null, GrammarStack stack => stack, _ => Resolved((GrammarFrame)around) }));
        _places.Sort();
        var last = 0;
        for (var i = 1; i < _places.Count; i++)
        {
            if (_places[i].Node != _places[last].Node || _places[last].Stack is null)
                _places[++last] = _places[i];
            else
                _places[last] = _places[last] with { Stack = _stacks.Union(_places[last].Stack!, _places[i].Stack!) };
        }

        Charge(StackWork * (_stacks.Made - made));
        return CollectionsMarshal.AsSpan(_places)[..Math.Min(_places.Count, last + 1)];
    }

    private GrammarStack Resolved(GrammarFrame frame)
    {
        if (frame.Stack is { } known)
            return known;
        if (frame.IsBeingResolved)
            throw new GrammarException("a rule begins with itself");
        frame.IsBeingResolved = true;
        var entries = frame.Entries.Select(entry => new GrammarStack.Entry(entry.Return, entry.Around switch { null => null, GrammarStack stack => stack, _ => Resolved((GrammarFrame)entry.Around) }, entry.Loop, entry.Count)).ToList();
        return frame.Stack = _stacks.Of(entries, _nodes.IsShared(frame.Rule));
    }

    private void Charge(long steps)
    {
        _work += steps;
        if (_work > _workLimit)
            throw new GrammarWorkException("the grammar takes too much work at each token; make it less ambiguous, and its repetitions fewer");
    }

    // No rule is entered beyond the depth limit: the text has to continue another way.
    private void Enter(object? around, int rule, int back, int loop, int count)
    {
        var depth = around switch { null => 0, GrammarStack stack => stack.Depth, _ => ((GrammarFrame)around).Depth };
        if (depth >= _limits.MaxDepth || _nodes.IsEndless(rule))
            return;
        var entry = new GrammarFrame.Entry(back, around, loop, count);
        if (!_frames.TryGetValue(rule, out var frame))
        {
            _frames.Add(rule, frame = new(rule));
            _open.Push((_nodes.StartOf(rule), frame));
        }

        frame.Depth = Math.Max(frame.Depth, depth + 1);
        if (frame.Entries.Add(entry) && frame.HasBeenLeft)
            Leave(entry.Return, entry.Around, entry.Loop, entry.Count);
        Charge(1);
    }

    private void Leave(object around)
    {
        if (around is GrammarStack stack)
        {
            foreach (var entry in stack.Entries)
                Leave(entry.Return, entry.Parent, entry.Loop, entry.Count);
            return;
        }

        var frame = (GrammarFrame)around;
        frame.HasBeenLeft = true;
        foreach (var entry in frame.Entries.ToArray())
            Leave(entry.Return, entry.Around, entry.Loop, entry.Count);
    }

    private void Leave(int back, object? around, int loopEdge, int count)
    {
        if (back == GrammarStacks.Unknown)
        {
            _escapes = true;
            return;
        }

        Charge(1);
        if (loopEdge < 0)
        {
            _open.Push((back, around));
            return;
        }

        // Above the minimum the count matters only if there is a maximum.
        var loop = _nodes.LoopOf(loopEdge);
        if (count >= loop.Least)
            _open.Push((back, around));
        if (count < loop.Most && loop.Needs < 0)
            Enter(around, loop.Rule, loop.Back, loopEdge, loop.Most == int.MaxValue ? Math.Min(count + 1, Math.Max(1, loop.Least)) : count + 1);
    }

    private GrammarState Intern(ReadOnlySpan<Place> found, bool accepting, bool escapes = false)
    {
        if (found.IsEmpty && !accepting && !escapes)
            return GrammarState.Dead;

        // A set that ends the grammar or leaves a rule gets an extra place, which makes it differ from other sets.
        Place[] key = accepting || escapes ? [.. found, new(escapes ? GrammarStacks.Unknown : -1, null)] : [.. found];
        if (_states.TryGetValue(key, out var known))
            return known;
        if (_heldBytes > _bytesLimit)
            throw new GrammarWorkException("the grammar takes too much memory at each token; make it less ambiguous, and its repetitions fewer");
        var state = new GrammarState(accepting || escapes ? [.. found] : key, accepting, _generation, escapes);
        _states.Add(key, state);
        _heldBytes += StateBytes + (PlaceBytes * (long)key.Length * (accepting ? 2 : 1));
        return state;
    }
}
