namespace LocalLlm.Sampling.Grammar;

/// <summary>A part of a grammar: one way in, one way out.</summary>
/// <param name="Start">Where it begins.</param>
/// <param name="End">Where it ends; nothing leads on from there yet.</param>
internal readonly record struct Fragment(int Start, int End);

/// <summary>
/// The rules of a grammar as a graph: edges that take one byte, edges that take none, and calls of rules. Fragments are made from the inside out (Thompson, "Regular expression search
/// algorithm", 1968), each used once.
/// </summary>
internal sealed class GrammarNodes(GrammarLimits limits)
{
    private readonly List<List<ByteRange>> _ranges = [];
    private readonly List<List<int>> _empty = [];
    private readonly List<List<(int Rule, int Back)>> _calls = [];
    private readonly List<bool> _isEnd = [];
    private readonly List<int> _ruleStarts = [];
    private readonly Dictionary<int, Action> _lazy = [];

    /// <summary>An edge for any of some bytes.</summary>
    internal readonly record struct ByteRange(byte First, byte Last, int To);

    /// <summary>Edges that take a byte.</summary>
    public IReadOnlyList<ByteRange> Ranges(int node)
    {
        // Made when it is first looked at.
        if (_lazy.Remove(node, out var expand))
            expand();
        return _ranges[node];
    }

    /// <summary>Where one can go without a byte.</summary>
    public IReadOnlyList<int> Empty(int node) => _empty[node];

    /// <summary>Rules that can be entered, and where each returns to.</summary>
    public IReadOnlyList<(int Rule, int Back)> Calls(int node) => _calls[node];

    /// <summary>Whether a rule, or the grammar, ends here.</summary>
    public bool IsEnd(int node) => _isEnd[node];

    /// <summary>Where a rule begins.</summary>
    public int StartOf(int rule) => _ruleStarts[rule];

    /// <summary>Names a rule that is defined later, so that rules can call themselves.</summary>
    public int DeclareRule()
    {
        _ruleStarts.Add(-1);
        return _ruleStarts.Count - 1;
    }

    /// <summary>Says what a rule is.</summary>
    public void DefineRule(int rule, Fragment body)
    {
        _ruleStarts[rule] = body.Start;
        _isEnd[body.End] = true;
    }

    /// <summary>Makes a fragment the whole grammar.</summary>
    /// <returns>Where it begins.</returns>
    public int Finish(Fragment whole)
    {
        _isEnd[whole.End] = true;
        return whole.Start;
    }

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
        _ranges[start].Add(new(first, last, end));
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
    public void Connect(int from, int rule, int to) => _calls[from].Add((rule, to));

    /// <summary>From a node through a fragment to another node.</summary>
    public void Connect(int from, Fragment part, int to)
    {
        _empty[from].Add(part.Start);
        _empty[part.End].Add(to);
    }

    /// <summary>These bytes.</summary>
    public Fragment Literal(ReadOnlySpan<byte> bytes)
    {
        var start = Add();
        var end = start;
        foreach (var value in bytes)
        {
            var next = Add();
            _ranges[end].Add(new(value, value, next));
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
        _calls[start].Add((rule, end));
        return new(start, end);
    }

    /// <summary>One after the other.</summary>
    public Fragment Sequence(params ReadOnlySpan<Fragment> parts)
    {
        if (parts.IsEmpty)
            return Nothing();
        for (var i = 1; i < parts.Length; i++)
            _empty[parts[i - 1].End].Add(parts[i].Start);
        return new(parts[0].Start, parts[^1].End);
    }

    /// <summary>One of them.</summary>
    public Fragment Either(params ReadOnlySpan<Fragment> parts)
    {
        var (start, end) = (Add(), Add());
        foreach (var part in parts)
        {
            _empty[start].Add(part.Start);
            _empty[part.End].Add(end);
        }

        return new(start, end);
    }

    /// <summary>It, or nothing.</summary>
    public Fragment Optional(Fragment part) => Either(part, Nothing());

    /// <summary>Any number of times, also none.</summary>
    public Fragment Star(Fragment part)
    {
        var (start, end) = (Add(), Add());
        _empty[start].Add(part.Start);
        _empty[start].Add(end);
        _empty[part.End].Add(start);
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

    private int Add()
    {
        if (_ranges.Count >= limits.MaxNodes)
            throw new GrammarException($"the grammar needs more than {limits.MaxNodes} nodes; lower its repetitions");
        _ranges.Add([]);
        _empty.Add([]);
        _calls.Add([]);
        _isEnd.Add(false);
        return _ranges.Count - 1;
    }
}
