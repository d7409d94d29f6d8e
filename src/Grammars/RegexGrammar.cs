using LocalLlm.Primitives;

namespace LocalLlm.Grammars;

/// <summary>Turns a regular expression into a grammar of the texts that it matches.</summary>
/// <param name="nodes">The rules.</param>
/// <param name="write">How characters are written; the ranges are of code points.</param>
internal sealed class RegexGrammar(GrammarNodes nodes, Func<IEnumerable<(int First, int Last)>, Fragment> write)
{
    private const int Many = 16; // from this many repetitions on they are counted, not copied

    /// <summary>The texts that a pattern matches as a whole, in UTF-8.</summary>
    /// <exception cref="GrammarException">
    /// The pattern is malformed or uses an unsupported feature (<see cref="RegexDialect.EcmaScript"/>); the message says where.
    /// </exception>
    public static Fragment Parse(GrammarNodes nodes, string pattern)
    {
        var grammar = new RegexGrammar(nodes, ranges => Utf8Ranges.Add(nodes, ranges));
        return nodes.Either([.. RegexAnchors.Alternatives(ParsedPattern(pattern)).Select(alternative => grammar.Make(alternative.Syntax))]);
    }

    /// <summary>All texts that contain a match of a pattern, as JSON Schema's <c>pattern</c> means it.</summary>
    /// <exception cref="GrammarException">The pattern is malformed or uses an unsupported feature.</exception>
    public Fragment Search(string pattern)
    {
        // All alternatives share what comes before and after them: once a text has matched, it is in one place, whatever else it
        // begins to match.
        var (start, end) = (nodes.Nothing().Start, nodes.Nothing().Start);
        var alternatives = RegexAnchors.Alternatives(ParsedPattern(pattern));
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

    /// <summary>The syntax of a pattern.</summary>
    /// <exception cref="GrammarException">The pattern is malformed or uses an unsupported feature.</exception>
    public static RegexNode ParsedPattern(string pattern)
    {
        try
        {
            return RegexParser.Parse(pattern, RegexDialect.EcmaScript);
        }
        catch (RegexSyntaxException wrong)
        {
            throw new GrammarException(wrong.Message);
        }
    }

    private Fragment Anything() => nodes.Star(write([(0, CodePoints.Last)]));

    /// <summary>Creates a call of a rule, for notations with rules.</summary>
    public Func<string, Fragment>? Call { get; init; }

    /// <summary>A pattern without anchors as a fragment.</summary>
    public Fragment Make(RegexNode syntax) => syntax switch
    {
        RuleReference reference when Call is not null => Call(reference.Name),
        RegexNode.Set characters => write(characters.Members.Ranges),
        RegexNode.Sequence sequence => nodes.Sequence([.. sequence.Parts.Select(Make)]),
        RegexNode.Alternation alternation => nodes.Either([.. alternation.Branches.Select(Make)]),
        RegexNode.Repeat { Body: RegexNode.Set } repeat when (repeat.Max ?? repeat.Min) > Many => Loop((RegexNode.Set)repeat.Body, repeat.Min, repeat.Max),
        RegexNode.Repeat repeat => nodes.Repeat(() => Make(repeat.Body), repeat.Min, repeat.Max),
        _ => throw new ArgumentOutOfRangeException(nameof(syntax)),
    };

    private Fragment Loop(RegexNode.Set characters, int least, int? most)
    {
        var rule = nodes.DeclareRule();
        nodes.DefineRule(rule, write(characters.Members.Ranges));
        return nodes.Loop(rule, least, most);
    }
}
