using LocalLlm.Primitives;

namespace LocalLlm.Grammars;

/// <summary>A pattern without inner anchors.</summary>
/// <param name="IsStart">Whether the match must begin the text.</param>
/// <param name="Syntax">The pattern.</param>
/// <param name="IsEnd">Whether the match must end the text.</param>
internal sealed record AnchoredRegex(bool IsStart, RegexNode Syntax, bool IsEnd);

/// <summary>Moves the anchors of a pattern to its ends; anchors within alternatives give several alternatives.</summary>
internal static class RegexAnchors
{
    private const int MaxAlternatives = 100;
    private static readonly RegexNode Empty = new RegexNode.Sequence([]);

    /// <summary>Patterns such that a text matches the whole pattern exactly if it matches one of them.</summary>
    /// <exception cref="GrammarException">There are too many patterns, an anchor is repeated, or no text can match any of them.</exception>
    public static IReadOnlyList<AnchoredRegex> Alternatives(RegexNode syntax)
    {
        var found = Of(syntax);
        return found.Count > 0 ? found : throw new GrammarException("^ after text, or $ before text, can never match");
    }

    private static IReadOnlyList<AnchoredRegex> Of(RegexNode syntax) => !HasAnchor(syntax) ? [new(false, syntax, false)] : syntax switch
    {
        RegexNode.Anchor { Kind: var kind } => [new(kind == RegexAnchor.TextStart, Empty, kind == RegexAnchor.TextEnd)],
        RegexNode.Alternation alternation => Few([.. alternation.Branches.SelectMany(Of)]),
        RegexNode.Repeat { Min: 0, Max: 1 } optional => Few([.. Of(optional.Body), new(false, Empty, false)]),
        RegexNode.Repeat { Min: 1, Max: 1 } once => Of(once.Body),
        RegexNode.Sequence sequence => Runs(sequence.Parts).Aggregate((IReadOnlyList<AnchoredRegex>)[new(false, Empty, false)], Followed),
        _ => throw new GrammarException("^ and $ cannot be repeated"),
    };

    // Joins what is between anchors into one part: patterns are long and have few anchors.
    private static IEnumerable<RegexNode> Runs(IReadOnlyList<RegexNode> parts)
    {
        var run = new List<RegexNode>();
        foreach (var part in parts)
        {
            if (!HasAnchor(part))
            {
                run.Add(part);
                continue;
            }

            if (run.Count > 0)
                yield return new RegexNode.Sequence(run);
            run = [];
            yield return part;
        }

        if (run.Count > 0)
            yield return new RegexNode.Sequence(run);
    }

    private static RegexNode Joined(RegexNode first, RegexNode second) =>
        first is RegexNode.Sequence { Parts.Count: 0 } ? second : second is RegexNode.Sequence { Parts.Count: 0 } ? first : new RegexNode.Sequence([.. PartsOf(first), .. PartsOf(second)]);

    private static IReadOnlyList<RegexNode> PartsOf(RegexNode syntax) => syntax is RegexNode.Sequence sequence ? sequence.Parts : [syntax];

    private static IReadOnlyList<AnchoredRegex> Followed(IReadOnlyList<AnchoredRegex> before, RegexNode part)
    {
        var after = Of(part);
        return Few([.. before.SelectMany(first => after.Select(second => Followed(first, second)).OfType<AnchoredRegex>())]);
    }

    // Null: can never match, because there is text before ^ or after $.
    private static AnchoredRegex? Followed(AnchoredRegex first, AnchoredRegex second)
    {
        if (second.IsStart && !CanBeEmpty(first.Syntax))
            return null;
        if (first.IsEnd && !CanBeEmpty(second.Syntax))
            return null;
        var start = second.IsStart ? Empty : first.Syntax;
        var end = first.IsEnd ? Empty : second.Syntax;
        return new(first.IsStart || second.IsStart, Joined(start, end), first.IsEnd || second.IsEnd);
    }

    private static AnchoredRegex[] Few(AnchoredRegex[] alternatives) =>
        alternatives.Length <= MaxAlternatives ? alternatives : throw new GrammarException($"^ and $ within alternatives make more than {MaxAlternatives} patterns");

    private static bool HasAnchor(RegexNode syntax) => syntax switch
    {
        RegexNode.Anchor => true,
        RegexNode.Alternation alternation => alternation.Branches.Any(HasAnchor),
        RegexNode.Sequence sequence => sequence.Parts.Any(HasAnchor),
        RegexNode.Repeat repeat => HasAnchor(repeat.Body),
        _ => false,
    };

    private static bool CanBeEmpty(RegexNode syntax) => syntax switch
    {
        RegexNode.Anchor => true,
        RegexNode.Alternation alternation => alternation.Branches.Any(CanBeEmpty),
        RegexNode.Sequence sequence => sequence.Parts.All(CanBeEmpty),
        RegexNode.Repeat repeat => repeat.Min == 0 || CanBeEmpty(repeat.Body),
        _ => false,
    };
}
