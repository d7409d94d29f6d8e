namespace LocalLlm.Grammars;

/// <summary>
/// Finds the rules that have no finite text: those that remain after repeatedly removing the rules that have one (Hopcroft,
/// Ullman: generating symbols).
/// </summary>
/// <param name="nodes">The rules.</param>
internal sealed class EndlessRules(GrammarNodes nodes)
{
    private readonly HashSet<int> _ending = [];
    private readonly int[] _seen = new int[nodes.Count];
    private readonly Stack<int> _open = [];
    private int _search;

    /// <summary>Finds the rules without a finite text.</summary>
    /// <param name="ruleCount">Number of rules.</param>
    public HashSet<int> Find(int ruleCount)
    {
        // Most rules are declared before the rules that they call.
        var left = Enumerable.Range(0, ruleCount).Where(rule => nodes.StartOf(rule) >= 0).Reverse().ToList();
        for (var before = -1; before != left.Count;)
        {
            before = left.Count;
            left.RemoveAll(rule => CanEnd(nodes.StartOf(rule)) && _ending.Add(rule));
        }

        return [.. left];
    }

    /// <summary>Whether a text can end from a node on, using only rules already known to end.</summary>
    public bool CanEnd(int start)
    {
        _search++;
        _open.Clear();
        Go(start);
        while (_open.TryPop(out var node))
        {
            if (nodes.IsEnd(node))
                return true;
            if (nodes.IsLazy(node))
            {
                // A node not expanded yet: use what EndsThrough declared for it.
                if (nodes.LazyEnd(node) is not var (end, rules))
                    return true;
                if (Array.Exists(rules, way => Array.TrueForAll(way, _ending.Contains)))
                    Go(end);
                continue;
            }

            for (var edge = nodes.FirstRange(node); edge >= 0; edge = nodes.RangeOf(edge).Other)
                Go(nodes.RangeOf(edge).To);
            for (var edge = nodes.FirstEmpty(node); edge >= 0; edge = nodes.EmptyOf(edge).Other)
                Go(nodes.EmptyOf(edge).To);
            for (var edge = nodes.FirstCounted(node); edge >= 0; edge = nodes.CountedOf(edge).Other)
                Go(nodes.CountedOf(edge).To);
            for (var edge = nodes.FirstCall(node); edge >= 0; edge = nodes.CallOf(edge).Other)
                Through(nodes.CallOf(edge).Rule, nodes.CallOf(edge).Back);
            for (var edge = nodes.FirstLoop(node); edge >= 0; edge = nodes.LoopOf(edge).Other)
                Through(nodes.LoopOf(edge).Rule, nodes.LoopOf(edge).Back);
        }

        return false;
    }

    private void Go(int node)
    {
        if (_seen[node] == _search)
            return;
        _seen[node] = _search;
        _open.Push(node);
    }

    private void Through(int rule, int back)
    {
        if (_ending.Contains(rule))
            Go(back);
    }
}
