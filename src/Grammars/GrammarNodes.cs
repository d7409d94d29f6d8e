namespace LocalLlm.Grammars;

/// <summary>A part of a grammar: one way in, one way out.</summary>
/// <param name="Start">Where it begins.</param>
/// <param name="End">Where it ends; nothing leads on from there yet.</param>
internal readonly record struct Fragment(int Start, int End);

/// <summary>
/// The rules of a grammar as a graph: edges that take one byte, edges that take none, and calls of rules. Fragments are made from the
/// inside out (Thompson, "Regular expression search algorithm", 1968), each used once.
/// </summary>
internal sealed class GrammarNodes(GrammarLimits limits)
{
    // Edges of a node are a list through these lists: nodes have one edge mostly, and there are many.
    private readonly List<Node> _nodes = [];
    private readonly List<RangeEdge> _ranges = [];
    private readonly List<EmptyEdge> _empty = [];
    private readonly List<CallEdge> _calls = [];
    private readonly List<LoopEdge> _loops = [];
    private readonly List<CountedEdge> _counted = [];
    private readonly List<int> _ruleStarts = [];
    private readonly Dictionary<int, string?> _shared = [];
    private readonly Dictionary<int, Action> _lazy = [];
    private readonly Dictionary<int, (int End, int[][] Rules)> _lazyEnds = [];
    private HashSet<int> _endless = [];

    /// <summary>An edge for any of some bytes.</summary>
    /// <param name="First">The first of them.</param>
    /// <param name="Last">The last of them.</param>
    /// <param name="To">Where it leads.</param>
    /// <param name="Other">Another edge of the same node; below 0: none.</param>
    internal readonly record struct RangeEdge(byte First, byte Last, int To, int Other);

    /// <summary>An edge that takes no byte.</summary>
    /// <param name="To">Where it leads.</param>
    /// <param name="Other">Another edge of the same node; below 0: none.</param>
    internal readonly record struct EmptyEdge(int To, int Other);

    /// <summary>An edge through a rule.</summary>
    /// <param name="Rule">The rule.</param>
    /// <param name="Back">Where it returns to.</param>
    /// <param name="Other">Another edge of the same node; below 0: none.</param>
    internal readonly record struct CallEdge(int Rule, int Back, int Other);

    /// <summary>An edge that goes through a rule several times.</summary>
    /// <param name="Rule">The rule; it has no empty text.</param>
    /// <param name="Back">Where it returns to after that.</param>
    /// <param name="Least">Fewest times.</param>
    /// <param name="Most">Most times, at least 1; <see cref="int.MaxValue"/>: any number.</param>
    /// <param name="Needs">The most characters that a place within the rule needs to its end, where the rule's characters are counted and
    /// not the times; below 0: the times are.</param>
    /// <param name="Other">Another edge of the same node; below 0: none.</param>
    internal readonly record struct LoopEdge(int Rule, int Back, int Least, int Most, int Needs, int Other);

    /// <summary>An edge that takes no byte and counts a character.</summary>
    /// <param name="To">Where it leads.</param>
    /// <param name="Room">How many may follow there.</param>
    /// <param name="Other">Another edge of the same node; below 0: none.</param>
    internal readonly record struct CountedEdge(int To, CountRoom Room, int Other);

    private readonly record struct Node(int Range, int Empty, int Call, int Loop, int Counted, bool IsEnd)
    {
        public static readonly Node Alone = new(-1, -1, -1, -1, -1, false);
    }

    /// <summary>Nodes so far.</summary>
    public int Count => _nodes.Count;

    /// <summary>About how much memory the rules hold, in bytes.</summary>
    public long HeldBytes => (24L * _nodes.Count) + (24L * _loops.Count) + (16L * _counted.Count) + (12L * _ranges.Count) + (8L * _empty.Count) + (12L * _calls.Count) + (200L * _lazy.Count);

    /// <summary>The first edge of a node that takes a byte, or below 0. Makes the edges of a lazy node.</summary>
    public int FirstRange(int node)
    {
        if (_lazy.Count > 0 && _lazy.Remove(node, out var expand))
            Expand(node, expand);
        return _nodes[node].Range;
    }

    // A place that could not be made says so to everybody who comes there; the half of it that was made is not used.
    private void Expand(int node, Action expand)
    {
        try
        {
            expand();
        }
        catch (Exception wrong)
        {
            IsBroken = true;
            _lazy[node] = () => throw new GrammarException(wrong.Message);
            throw wrong is GrammarException ? wrong : new GrammarException(wrong.Message);
        }
    }

    /// <summary>Whether a place could not be made: new requests begin with a grammar of their own.</summary>
    public bool IsBroken { get; private set; }

    /// <summary>The first edge of a node that takes no byte, or below 0.</summary>
    public int FirstEmpty(int node) => _nodes[node].Empty;

    /// <summary>The first edge of a node through a rule, or below 0.</summary>
    public int FirstCall(int node) => _nodes[node].Call;

    /// <summary>The first edge of a node through a rule several times, or below 0.</summary>
    public int FirstLoop(int node) => _nodes[node].Loop;

    /// <summary>The first edge of a node that counts a character, or below 0.</summary>
    public int FirstCounted(int node) => _nodes[node].Counted;

    /// <summary>An edge that counts a character.</summary>
    public CountedEdge CountedOf(int edge) => _counted[edge];

    /// <summary>An edge through a rule several times.</summary>
    public LoopEdge LoopOf(int edge) => _loops[edge];

    /// <summary>An edge that takes a byte.</summary>
    public RangeEdge RangeOf(int edge) => _ranges[edge];

    /// <summary>An edge that takes no byte.</summary>
    public EmptyEdge EmptyOf(int edge) => _empty[edge];

    /// <summary>An edge through a rule.</summary>
    public CallEdge CallOf(int edge) => _calls[edge];

    /// <summary>Whether a rule, or the grammar, ends here.</summary>
    public bool IsEnd(int node) => _nodes[node].IsEnd;

    /// <summary>Where a rule begins.</summary>
    public int StartOf(int rule) => _ruleStarts[rule];

    /// <summary>Names a rule that is defined later, so that rules can call themselves.</summary>
    public int DeclareRule()
    {
        _ruleStarts.Add(-1);
        return _ruleStarts.Count - 1;
    }

    /// <summary>
    /// Says that a rule is long and called from many places, such as a string: what its inside allows is found once for all of them.
    /// </summary>
    /// <param name="rule">The rule.</param>
    /// <param name="name">Equal for rules of other grammars that are the same; null: there are none.</param>
    public void Share(int rule, string? name = null) => _shared[rule] = name;

    /// <summary>The rules of which that was said, with their names.</summary>
    public IReadOnlyDictionary<int, string?> Shared => _shared;

    /// <summary>Whether that was said.</summary>
    public bool IsShared(int rule) => _shared.ContainsKey(rule);

    /// <summary>Says what a rule is.</summary>
    public void DefineRule(int rule, Fragment body)
    {
        _ruleStarts[rule] = body.Start;
        End(body.End);
    }

    /// <summary>Creates a fragment the whole grammar.</summary>
    /// <returns>Where it begins.</returns>
    /// <exception cref="GrammarException">No text of it ever ends.</exception>
    public int Finish(Fragment whole)
    {
        End(whole.End);
        var endless = new EndlessRules(this);
        _endless = endless.Find(_ruleStarts.Count);
        return endless.CanEnd(whole.Start) ? whole.Start : throw new GrammarException("the text never ends: what is required contains itself; make a part on the way optional");
    }

    /// <summary>
    /// Whether no text of a rule ever ends, because each contains another of the same rule: it is not entered. Known when the grammar is
    /// finished.
    /// </summary>
    public bool IsEndless(int rule) => _endless.Contains(rule);

    /// <summary>Says of a lazy place that an end can be reached from there through all of some rules; there may be several such
    /// ways.</summary>
    public void EndsThrough(int node, int end, int[][] rules) => _lazyEnds[node] = (end, rules);

    /// <summary>What was said of a lazy place; null: nothing, it may end.</summary>
    public (int End, int[][] Rules)? LazyEnd(int node) => _lazyEnds.TryGetValue(node, out var end) ? end : null;

    /// <summary>Whether the ways on from a place are not made yet.</summary>
    public bool IsLazy(int node) => _lazy.ContainsKey(node);

    /// <summary>The empty text.</summary>
    public Fragment Nothing()
    {
        var node = Add();
        return new(node, node);
    }

    /// <summary>Any of some bytes.</summary>
    public Fragment Range(byte first, byte last)
    {
        var (start, end) = (Add(), Add());
        AddRange(start, first, last, end);
        return new(start, end);
    }

    /// <summary>A place whose ways on are made when a text first comes there: what could not all be made before.</summary>
    /// <param name="expand">Leads on from the place, which it is given; called once.</param>
    public int Lazy(Action<int> expand)
    {
        var node = Add();
        _lazy.Add(node, () => expand(node));
        return node;
    }

    /// <summary>From a node through a rule to another node.</summary>
    public void Connect(int from, int rule, int to) => AddCall(from, rule, to);

    /// <summary>From a node by any of some bytes to another node.</summary>
    public void Connect(int from, byte first, byte last, int to) => AddRange(from, first, last, to);

    /// <summary>From a node to another node by no byte.</summary>
    public void Connect(int from, int to) => AddEmpty(from, to);

    /// <summary>From a node through a fragment to another node.</summary>
    public void Connect(int from, Fragment part, int to)
    {
        AddEmpty(from, part.Start);
        AddEmpty(part.End, to);
    }

    /// <summary>These bytes.</summary>
    public Fragment Literal(ReadOnlySpan<byte> bytes)
    {
        var start = Add();
        var end = start;
        foreach (var value in bytes)
        {
            var next = Add();
            AddRange(end, value, value, next);
            end = next;
        }

        return new(start, end);
    }

    /// <summary>This text.</summary>
    public Fragment Literal(string text) => Literal(System.Text.Encoding.UTF8.GetBytes(text));

    /// <summary>A rule.</summary>
    public Fragment Call(int rule)
    {
        var (start, end) = (Add(), Add());
        AddCall(start, rule, end);
        return new(start, end);
    }

    /// <summary>A rule several times, counted as it is read: places do not grow with the number.</summary>
    /// <param name="rule">The rule; it must have no empty text.</param>
    /// <param name="least">At least 0.</param>
    /// <param name="most">Null: any number.</param>
    public Fragment Loop(int rule, int least, int? most)
    {
        var (start, end) = (Add(), Add());
        if (least == 0)
            AddEmpty(start, end);
        if (most != 0)
        {
            _loops.Add(new(rule, end, least, most ?? int.MaxValue, -1, _nodes[start].Loop));
            _nodes[start] = _nodes[start] with { Loop = _loops.Count - 1 };
        }

        return new(start, end);
    }

    /// <summary>A rule whose characters are counted, by edges of <see cref="ConnectCounted"/>.</summary>
    /// <param name="rule">The rule.</param>
    /// <param name="least">Fewest characters.</param>
    /// <param name="most">Most characters; null: any number.</param>
    /// <param name="needs">The most characters that a place within the rule needs to its end.</param>
    public Fragment CallCounted(int rule, int least, int? most, int needs)
    {
        var (start, end) = (Add(), Add());
        _loops.Add(new(rule, end, least, most ?? int.MaxValue, needs, _nodes[start].Loop));
        _nodes[start] = _nodes[start] with { Loop = _loops.Count - 1 };
        return new(start, end);
    }

    /// <summary>From a node to another one of a counted rule, by no byte: a character has ended.</summary>
    public void ConnectCounted(int from, int to, CountRoom room)
    {
        _counted.Add(new(to, room, _nodes[from].Counted));
        _nodes[from] = _nodes[from] with { Counted = _counted.Count - 1 };
    }

    /// <summary>One after the other.</summary>
    public Fragment Sequence(params ReadOnlySpan<Fragment> parts)
    {
        if (parts.IsEmpty)
            return Nothing();
        for (var i = 1; i < parts.Length; i++)
            AddEmpty(parts[i - 1].End, parts[i].Start);
        return new(parts[0].Start, parts[^1].End);
    }

    /// <summary>One of them.</summary>
    public Fragment Either(params ReadOnlySpan<Fragment> parts)
    {
        var (start, end) = (Add(), Add());
        foreach (var part in parts)
        {
            AddEmpty(start, part.Start);
            AddEmpty(part.End, end);
        }

        return new(start, end);
    }

    /// <summary>It, or nothing.</summary>
    public Fragment Optional(Fragment part) => Either(part, Nothing());

    /// <summary>Any number of times, also none.</summary>
    public Fragment Star(Fragment part)
    {
        var (start, end) = (Add(), Add());
        AddEmpty(start, part.Start);
        AddEmpty(start, end);
        AddEmpty(part.End, start);
        return new(start, end);
    }

    /// <summary>From <paramref name="least"/> to <paramref name="most"/> times.</summary>
    /// <param name="part">Makes the part; called for every copy.</param>
    /// <param name="least">At least 0.</param>
    /// <param name="most">Null: any number.</param>
    public Fragment Repeat(Func<Fragment> part, int least, int? most)
    {
        var parts = new List<Fragment>();
        for (var i = 0; i < least; i++)
            parts.Add(part());
        if (most is null)
        {
            parts.Add(Star(part()));
            return Sequence([.. parts]);
        }

        // (a(a(a)?)?)?, from the inside out, so that no two ways lead to the same count.
        var tail = Nothing();
        for (var i = least; i < most; i++)
            tail = Optional(i == least ? part() : Sequence(part(), tail));
        parts.Add(tail);
        return Sequence([.. parts]);
    }

    private void End(int node) => _nodes[node] = _nodes[node] with { IsEnd = true };

    private void AddRange(int from, byte first, byte last, int to)
    {
        _ranges.Add(new(first, last, to, _nodes[from].Range));
        _nodes[from] = _nodes[from] with { Range = _ranges.Count - 1 };
    }

    private void AddEmpty(int from, int to)
    {
        _empty.Add(new(to, _nodes[from].Empty));
        _nodes[from] = _nodes[from] with { Empty = _empty.Count - 1 };
    }

    private void AddCall(int from, int rule, int to)
    {
        _calls.Add(new(rule, to, _nodes[from].Call));
        _nodes[from] = _nodes[from] with { Call = _calls.Count - 1 };
    }

    private int Add()
    {
        if (_nodes.Count >= limits.MaxNodes)
            throw new GrammarException($"the grammar needs more than {limits.MaxNodes} nodes; lower its repetitions");
        _nodes.Add(Node.Alone);
        return _nodes.Count - 1;
    }
}
