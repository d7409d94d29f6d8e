using LocalLlm.Primitives;

namespace LocalLlm.Grammars;

/// <summary>Turns rules in EBNF (<see cref="EbnfParser"/>) into a grammar; the rule <c>root</c> is the whole text.</summary>
internal static class EbnfGrammar
{
    private const string Root = "root";

    /// <summary>The texts of the rule <c>root</c>, in UTF-8.</summary>
    /// <exception cref="GrammarException">The rules are malformed, or a rule is missing, never ends, or begins with itself.</exception>
    public static Fragment Parse(GrammarNodes nodes, string text)
    {
        var rules = EbnfParser.Parse(text);
        if (!rules.ContainsKey(Root))
            throw new GrammarException($"the grammar has no rule '{Root}'");
        CheckNames(rules);
        CheckEnds(rules);
        CheckBeginnings(rules);
        var ids = rules.Keys.ToDictionary(name => name, _ => nodes.DeclareRule(), StringComparer.Ordinal);
        var grammar = new RegexGrammar(nodes, ranges => Utf8Ranges.Add(nodes, ranges)) { Call = name => nodes.Call(ids[name]) };
        foreach (var (name, syntax) in rules)
            nodes.DefineRule(ids[name], grammar.Make(syntax));
        return nodes.Call(ids[Root]);
    }

    private static void CheckNames(Dictionary<string, RegexNode> rules)
    {
        foreach (var (name, syntax) in rules)
        {
            if (References(syntax).FirstOrDefault(other => !rules.ContainsKey(other)) is { } missing)
                throw new GrammarException($"the rule '{name}' names '{missing}', which is not defined");
        }
    }

    // A rule has no finite text if all of its texts contain the rule itself.
    private static void CheckEnds(Dictionary<string, RegexNode> rules)
    {
        var ending = Fixpoint(rules, (syntax, known) => Ends(syntax, known));
        if (rules.Keys.FirstOrDefault(name => !ending.Contains(name)) is { } endless)
            throw new GrammarException($"the rule '{endless}' never ends: each of its alternatives needs itself");
    }

    // A rule that begins with itself would be entered endlessly before the first character.
    private static void CheckBeginnings(Dictionary<string, RegexNode> rules)
    {
        var empty = Fixpoint(rules, (syntax, known) => CanBeEmpty(syntax, known));
        foreach (var name in rules.Keys)
        {
            var reached = new HashSet<string>();
            var open = new Stack<string>([name]);
            while (open.TryPop(out var rule))
            {
                foreach (var first in Firsts(rules[rule], empty))
                {
                    if (first == name)
                        throw new GrammarException($"the rule '{name}' begins with itself (left recursion); write a repetition: {name} ::= item (separator item)*");
                    if (reached.Add(first))
                        open.Push(first);
                }
            }
        }
    }

    private static HashSet<string> Fixpoint(Dictionary<string, RegexNode> rules, Func<RegexNode, HashSet<string>, bool> holds)
    {
        var known = new HashSet<string>(StringComparer.Ordinal);
        for (var before = -1; before != known.Count;)
        {
            before = known.Count;
            foreach (var (name, syntax) in rules)
            {
                if (holds(syntax, known))
                    known.Add(name);
            }
        }

        return known;
    }

    private static bool Ends(RegexNode syntax, HashSet<string> ending) => syntax switch
    {
        RuleReference reference => ending.Contains(reference.Name),
        RegexNode.Sequence sequence => sequence.Parts.All(part => Ends(part, ending)),
        RegexNode.Alternation alternation => alternation.Branches.Any(part => Ends(part, ending)),
        RegexNode.Repeat repeat => repeat.Min == 0 || Ends(repeat.Body, ending),
        _ => true,
    };

    private static bool CanBeEmpty(RegexNode syntax, HashSet<string> empty) => syntax switch
    {
        RuleReference reference => empty.Contains(reference.Name),
        RegexNode.Sequence sequence => sequence.Parts.All(part => CanBeEmpty(part, empty)),
        RegexNode.Alternation alternation => alternation.Branches.Any(part => CanBeEmpty(part, empty)),
        RegexNode.Repeat repeat => repeat.Min == 0 || repeat.Max == 0 || CanBeEmpty(repeat.Body, empty),
        _ => false,
    };

    // The rules that a rule may begin with.
    private static IEnumerable<string> Firsts(RegexNode syntax, HashSet<string> empty)
    {
        switch (syntax)
        {
            case RuleReference reference:
                return [reference.Name];
            case RegexNode.Alternation alternation:
                return alternation.Branches.SelectMany(part => Firsts(part, empty));
            case RegexNode.Repeat repeat:
                return Firsts(repeat.Body, empty);
            case RegexNode.Sequence sequence:
                var found = new List<string>();
                foreach (var part in sequence.Parts)
                {
                    found.AddRange(Firsts(part, empty));
                    if (!CanBeEmpty(part, empty))
                        break;
                }

                return found;
            default:
                return [];
        }
    }

    private static IEnumerable<string> References(RegexNode syntax) => syntax switch
    {
        RuleReference reference => [reference.Name],
        RegexNode.Sequence sequence => sequence.Parts.SelectMany(References),
        RegexNode.Alternation alternation => alternation.Branches.SelectMany(References),
        RegexNode.Repeat repeat => References(repeat.Body),
        _ => [],
    };
}
