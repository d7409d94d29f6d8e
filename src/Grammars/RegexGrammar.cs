namespace LocalLlm.Grammars;

/// <summary>A regular expression as a grammar of the texts that it matches.</summary>
/// <param name="nodes">The rules.</param>
/// <param name="write">How characters are written; the ranges are of code points.</param>
internal sealed class RegexGrammar(GrammarNodes nodes, Func<IEnumerable<(int First, int Last)>, Fragment> write)
{
    private const int Many = 16; // repetitions that are counted and not copied

    /// <summary>The texts that a pattern matches as a whole, in UTF-8.</summary>
    /// <exception cref="GrammarException">It is malformed, or has what is not possible (<see cref="RegexParser"/>); the message says where.</exception>
    public static Fragment Parse(GrammarNodes nodes, string pattern)
    {
        var grammar = new RegexGrammar(nodes, ranges => Utf8Ranges.Add(nodes, ranges));
        return nodes.Either([.. RegexAnchors.Alternatives(RegexParser.Parse(pattern)).Select(alternative => grammar.Make(alternative.Syntax))]);
    }

    /// <summary>All texts in which a pattern is found, as JSON schema's <c>pattern</c> means it.</summary>
    /// <exception cref="GrammarException">It is malformed, or has what is not possible.</exception>
    public Fragment Search(string pattern)
    {
        // What stands before and behind is the same for all alternatives: then a text that has been found is in one place, whatever else it
        // begins.
        var (start, end) = (nodes.Nothing().Start, nodes.Nothing().Start);
        var alternatives = RegexAnchors.Alternatives(RegexParser.Parse(pattern));
        var (before, behind) = (start, end);
        if (alternatives.Any(alternative => !alternative.IsStart))
        {
            var anything = Anything();
            nodes.Connect(start, anything.Start);
            before = anything.End;
        }

        if (alternatives.Any(alternative => !alternative.IsEnd))
        {
            var anything = Anything();
            nodes.Connect(anything.End, end);
            behind = anything.Start;
        }

        foreach (var (isStart, syntax, isEnd) in alternatives)
            nodes.Connect(isStart ? start : before, Make(syntax), isEnd ? end : behind);
        return new(start, end);
    }

    private Fragment Anything() => nodes.Star(write([(0, RegexParser.LastCodePoint)]));

    /// <summary>Makes a call of a rule, for notations that have rules.</summary>
    public Func<string, Fragment>? Call { get; init; }

    /// <summary>A pattern without anchors as a fragment.</summary>
    public Fragment Make(RegexSyntax syntax) => syntax switch
    {
        RegexSyntax.Reference reference when Call is not null => Call(reference.Name),
        RegexSyntax.Characters characters => write(characters.Ranges),
        RegexSyntax.Sequence sequence => nodes.Sequence([.. sequence.Parts.Select(Make)]),
        RegexSyntax.Either either => nodes.Either([.. either.Parts.Select(Make)]),
        RegexSyntax.Repeat { Part: RegexSyntax.Characters } repeat when (repeat.Most ?? repeat.Least) > Many => Loop((RegexSyntax.Characters)repeat.Part, repeat.Least, repeat.Most),
        RegexSyntax.Repeat repeat => nodes.Repeat(() => Make(repeat.Part), repeat.Least, repeat.Most),
        _ => throw new ArgumentOutOfRangeException(nameof(syntax)),
    };

    private Fragment Loop(RegexSyntax.Characters characters, int least, int? most)
    {
        var rule = nodes.DeclareRule();
        nodes.DefineRule(rule, write(characters.Ranges));
        return nodes.Loop(rule, least, most);
    }
}
