namespace LocalLlm.Grammars;

/// <summary>A part of a grammar with one entry and one exit.</summary>
/// <param name="Start">Where it begins.</param>
/// <param name="End">Where it ends; no edge leaves this node yet.</param>
internal readonly record struct Fragment(int Start, int End);

/// <summary>
/// The rules of a grammar as a graph: edges that take one byte, edges that take none, and calls of rules. Fragments are built
/// from the inside out (Thompson, "Regular expression search algorithm", 1968); each is used once.
/// </summary>
internal sealed class GrammarNodes(GrammarLimits limits)
{
    // The edges of a node are linked lists through these lists: most nodes have one edge, and there are many nodes.
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

    /// <summary>An edge for a range of bytes.</summary>
    /// <param name="First">The first byte.</param>
    /// <param name="Last">The last byte.</param>
    /// <param name="To">Where it leads.</param>
    /// <param name="Other">The next edge of the same node; below 0: none.</param>
    internal readonly record struct RangeEdge(byte First, byte Last, int To, int Other);

    /// <summary>An edge that takes no byte.</summary>
    /// <param name="To">Where it leads.</param>
    /// <param name="Other">The next edge of the same node; below 0: none.</param>
    internal readonly record struct EmptyEdge(int To, int Other);

    /// <summary>An edge through a rule.</summary>
    /// <param name="Rule">The rule.</param>
    /// <param name="Back">The node after the rule.</param>
    /// <param name="Other">The next edge of the same node; below 0: none.</param>
    internal readonly record struct CallEdge(int Rule, int Back, int Other);

    /// <summary>An edge that goes through a rule several times.</summary>
    /// <param name="Rule">The rule; it has no empty text.</param>
    /// <param name="Back">The node after each pass through the rule.</param>
    /// <param name="Least">Minimum number of times.</param>
    /// <param name="Most">Maximum number of times, at least 1; <see cref="int.MaxValue"/>: any number.</param>
    /// <param name="Needs">If the edge counts characters within the rule instead of passes: the maximum number of characters that
    /// any place within the rule needs to reach its end. Below 0: the edge counts passes.</param>
    /// <param name="Other">The next edge of the same node; below 0: none.</param>
    internal readonly record struct LoopEdge(int Rule, int Back, int Least, int Most, int Needs, int Other);

    /// <summary>An edge that takes no byte and counts a character.</summary>
    /// <param name="To">Where it leads.</param>
    /// <param name="Room">How many characters may follow there.</param>
    /// <param name="Other">The next edge of the same node; below 0: none.</param>
    internal readonly record struct CountedEdge(int To, CountRoom Room, int Other);

    private readonly record struct Node(int Range, int Empty, int Call, int Loop, int Counted, bool IsEnd)
    {
        public static readonly Node Alone = new(-1, -1, -1, -1, -1, false);
    }

    /// <summary>Nodes so far.</summary>
    public int Count => _nodes.Count;

    /// <summary>Approximate memory that the rules take, in bytes.</summary>
    public long HeldBytes => (24L * _nodes.Count) + (24L * _loops.Count) + (16L * _counted.Count) + (12L * _ranges.Count) + (8L * _empty.Count) + (12L * _calls.Count) + (200L * _lazy.Count);

    /// <summary>The first edge of a node that takes a byte, or below 0. Creates the edges of a lazy node.</summary>
    public int FirstRange(int node)
    {
        if (_lazy.Count > 0 && _lazy.Remove(node, out var expand))
            Expand(node, expand);
        return _nodes[node].Range;
    }

    // If a place cannot be expanded, every text that reaches it gets the same error; its half-made edges are not used.
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

    /// <summary>Whether some place could not be expanded. New requests then compile a grammar of their own.</summary>
    public bool IsBroken { get; private set; }

    /// <summary>The first edge of a node that takes no byte, or below 0.</summary>
    public int FirstEmpty(int node) => _nodes[node].Empty;

    /// <summary>The first edge of a node through a rule, or below 0.</summary>
    public int FirstCall(int node) => _nodes[node].Call;

    /// <summary>The first edge of a node that repeats a rule, or below 0.</summary>
    public int FirstLoop(int node) => _nodes[node].Loop;

    /// <summary>The first edge of a node that counts a character, or below 0.</summary>
    public int FirstCounted(int node) => _nodes[node].Counted;

    /// <summary>An edge that counts a character.</summary>
    public CountedEdge CountedOf(int edge) => _counted[edge];

    /// <summary>An edge that repeats a rule.</summary>
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

    /// <summary>Declares a rule that is defined later, so that rules can call themselves.</summary>
    public int DeclareRule()
    {
        _ruleStarts.Add(-1);
        return _ruleStarts.Count - 1;
    }

    /// <summary>
    /// Declares that a rule is long and called from many places, such as a string. The tokens allowed inside it are then found
    /// once for all callers.
    /// </summary>
    /// <param name="rule">The rule.</param>
    /// <param name="name">Equal for the same rule in other grammars; null: no other grammar has it.</param>
    public void Share(int rule, string? name = null) => _shared[rule] = name;

    /// <summary>The rules that <see cref="Share"/> declared, with their names.</summary>
    public IReadOnlyDictionary<int, string?> Shared => _shared;

    /// <summary>Whether <see cref="Share"/> declared the rule.</summary>
    public bool IsShared(int rule) => _shared.ContainsKey(rule);

    /// <summary>Defines a declared rule.</summary>
    public void DefineRule(int rule, Fragment body)
    {
        _ruleStarts[rule] = body.Start;
        End(body.End);
    }

    /// <summary>Turns a fragment into the whole grammar.</summary>
    /// <returns>Where the grammar begins.</returns>
    /// <exception cref="GrammarException">No text of the grammar ever ends.</exception>
    public int Finish(Fragment whole)
    {
        End(whole.End);
        var endless = new EndlessRules(this);
        _endless = endless.Find(_ruleStarts.Count);
        return endless.CanEnd(whole.Start) ? whole.Start : throw new GrammarException("no text can end: a required part contains itself; make some part in between optional");
    }

    /// <summary>
    /// Whether no text of a rule ever ends, because each contains another text of the same rule. Such a rule is never entered.
    /// Known once the grammar is finished.
    /// </summary>
    public bool IsEndless(int rule) => _endless.Contains(rule);

    /// <summary>
    /// Declares that from a lazy place an end can be reached through all rules of one of the given lists.
    /// </summary>
    public void EndsThrough(int node, int end, int[][] rules) => _lazyEnds[node] = (end, rules);

    /// <summary>What <see cref="EndsThrough"/> declared for a lazy place; null: nothing, so the text may end there.</summary>
    public (int End, int[][] Rules)? LazyEnd(int node) => _lazyEnds.TryGetValue(node, out var end) ? end : null;

    /// <summary>Whether the edges of a place have not been created yet.</summary>
    public bool IsLazy(int node) => _lazy.ContainsKey(node);

    /// <summary>The empty text.</summary>
    public Fragment Nothing()
    {
        var node = Add();
        return new(node, node);
    }

    /// <summary>Any one byte of a range.</summary>
    public Fragment Range(byte first, byte last)
    {
        var (start, end) = (Add(), Add());
        AddRange(start, first, last, end);
        return new(start, end);
    }

    /// <summary>A place whose edges are created when a text first reaches it: there would be too many to create all beforehand.</summary>
    /// <param name="expand">Adds edges to the place, which it receives; called once.</param>
    public int Lazy(Action<int> expand)
    {
        var node = Add();
        _lazy.Add(node, () => expand(node));
        return node;
    }

    /// <summary>Connects one node to another through a rule.</summary>
    public void Connect(int from, int rule, int to) => AddCall(from, rule, to);

    /// <summary>Connects one node to another by a range of bytes.</summary>
    public void Connect(int from, byte first, byte last, int to) => AddRange(from, first, last, to);

    /// <summary>Connects one node to another by an empty edge.</summary>
    public void Connect(int from, int to) => AddEmpty(from, to);

    /// <summary>Connects one node to another through a fragment.</summary>
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

    /// <summary>A call of a rule.</summary>
    public Fragment Call(int rule)
    {
        var (start, end) = (Add(), Add());
        AddCall(start, rule, end);
        return new(start, end);
    }

    /// <summary>
    /// A repeated rule. The repetitions are counted while a text is read, so the number of places does not grow with them.
    /// </summary>
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

    /// <summary>A call of a rule that counts its characters, by edges of <see cref="ConnectCounted"/>.</summary>
    /// <param name="rule">The rule.</param>
    /// <param name="least">Minimum number of characters.</param>
    /// <param name="most">Maximum number of characters; null: any number.</param>
    /// <param name="needs">The maximum number of characters that a place within the rule needs to reach its end.</param>
    public Fragment CallCounted(int rule, int least, int? most, int needs)
    {
        var (start, end) = (Add(), Add());
        _loops.Add(new(rule, end, least, most ?? int.MaxValue, needs, _nodes[start].Loop));
        _nodes[start] = _nodes[start] with { Loop = _loops.Count - 1 };
        return new(start, end);
    }

    /// <summary>Connects one node of a counted rule to another by an edge that takes no byte: a character has ended.</summary>
    public void ConnectCounted(int from, int to, CountRoom room)
    {
        _counted.Add(new(to, room, _nodes[from].Counted));
        _nodes[from] = _nodes[from] with { Counted = _counted.Count - 1 };
    }

    /// <summary>The parts one after the other.</summary>
    public Fragment Sequence(params ReadOnlySpan<Fragment> parts)
    {
        if (parts.IsEmpty)
            return Nothing();
        for (var i = 1; i < parts.Length; i++)
            AddEmpty(parts[i - 1].End, parts[i].Start);
        return new(parts[0].Start, parts[^1].End);
    }

    /// <summary>Any one of the parts.</summary>
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

    /// <summary>The part, or nothing.</summary>
    public Fragment Optional(Fragment part) => Either(part, Nothing());

    /// <summary>The part any number of times, including none.</summary>
    public Fragment Star(Fragment part)
    {
        var (start, end) = (Add(), Add());
        AddEmpty(start, part.Start);
        AddEmpty(start, end);
        AddEmpty(part.End, start);
        return new(start, end);
    }

    /// <summary>The part <paramref name="least"/> to <paramref name="most"/> times.</summary>
    /// <param name="part">Creates the part; called for every copy.</param>
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

        // (a(a(a)?)?)?, from the inside out: each count can be reached in one way only.
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
