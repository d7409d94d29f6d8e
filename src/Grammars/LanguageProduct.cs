namespace LocalLlm.Grammars;

/// <summary>
/// Distinguishes texts by several languages at once: the product of their automata (Hopcroft, Ullman), without the states that
/// reach no allowed text. This expresses what single languages cannot: two patterns at once, all but some names, multiples
/// between two bounds.
/// </summary>
internal sealed class LanguageProduct
{
    private const int MaxTold = 63;
    private readonly SchemaBudget _budget;
    private Dfa? _all;
    private int _told;

    /// <param name="budget">Pays for the work.</param>
    /// <param name="all">All possible texts.</param>
    public LanguageProduct(SchemaBudget budget, Func<GrammarNodes, Fragment> all)
    {
        _budget = budget;
        _all = Dfa.Of(all, budget);
    }

    /// <summary>Keeps only the texts that are in a language, or only those that are not.</summary>
    /// <exception cref="GrammarException">There are too many states.</exception>
    public void Require(Func<GrammarNodes, Fragment> language, bool isWanted)
    {
        var other = Dfa.Of(language, _budget);
        if (other is null && isWanted)
            _all = null;
        if (other is not null)
            _all = _all?.Times(other, (own, theirs) => theirs != 0 == isWanted ? own : 0, isWanted, _budget);
    }

    /// <summary>Distinguishes texts in a language from other texts.</summary>
    /// <exception cref="GrammarException">There are too many states, or languages.</exception>
    public void Tell(Func<GrammarNodes, Fragment> language)
    {
        if (++_told > MaxTold)
            throw new GrammarException($"more than {MaxTold} patterns for one value");
        var bit = 1UL << _told;
        if (Dfa.Of(language, _budget) is { } other)
            _all = _all?.Times(other, (own, theirs) => own != 0 && theirs != 0 ? own | bit : own, needsOther: false, _budget);
    }

    /// <summary>Builds the texts by kind: one entry, and an exit for every kind.</summary>
    /// <param name="nodes">Receives the rules.</param>
    /// <param name="kindOf">Maps the languages that contain a text (bit i: the i-th one given) to its kind; below 0: not allowed.
    /// Pure.</param>
    /// <exception cref="UnsatisfiableException">No text is allowed.</exception>
    public (int Start, Dictionary<int, int> Ends) Make(GrammarNodes nodes, Func<ulong, int> kindOf)
    {
        var kinds = _all?.Marks.Select(mark => mark == 0 ? -1 : kindOf(mark >> 1)).ToArray();
        if (kinds is null || !Array.Exists(kinds, kind => kind >= 0))
            throw new UnsatisfiableException("nothing is allowed here");

        // Kinds become marks: states that reach no kind are dropped.
        var dfa = _all!.Marked(state => kinds[state] < 0 ? 0 : (ulong)kinds[state] + 1, _budget)!;
        var ids = dfa.Marks.Select(_ => nodes.Nothing().Start).ToArray();
        var ends = dfa.Marks.Where(mark => mark != 0).Distinct().ToDictionary(mark => (int)mark - 1, _ => nodes.Nothing().Start);
        for (var state = 0; state < ids.Length; state++)
        {
            if (dfa.Marks[state] != 0)
                nodes.Connect(ids[state], ends[(int)dfa.Marks[state] - 1]);
            foreach (var (first, last, to) in dfa.Edges[state])
                nodes.Connect(ids[state], first, last, ids[to]);
        }

        return (ids[0], ends);
    }

    /// <summary>The texts that <see cref="Require"/> has kept, limited by their number of characters.</summary>
    /// <param name="nodes">Receives the rules.</param>
    /// <param name="least">Minimum number of characters.</param>
    /// <param name="most">Maximum number of characters; null: any number.</param>
    /// <param name="all">Texts of whole characters: the language that the product began with.</param>
    /// <exception cref="UnsatisfiableException">No text is allowed.</exception>
    public Fragment MakeCounted(GrammarNodes nodes, int least, int? most, Func<GrammarNodes, Fragment> all)
    {
        // A separate mark for positions between characters, whether texts may end there or not.
        var characters = Dfa.Of(all, _budget);
        var dfa = _all is null || characters is null ? null : characters.Times(_all, (between, end) => between == 0 ? 0 : end != 0 ? 3UL : 2UL, needsOther: true, _budget);
        return dfa is null ? throw new UnsatisfiableException("nothing is allowed here") : new CountedCharacters(nodes, dfa, least, most, _budget).Make();
    }
}
