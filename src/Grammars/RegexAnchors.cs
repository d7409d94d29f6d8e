namespace LocalLlm.Grammars;

/// <summary>A pattern without anchors within it.</summary>
/// <param name="IsStart">Whether the text begins with it.</param>
/// <param name="Syntax">The pattern.</param>
/// <param name="IsEnd">Whether the text ends with it.</param>
internal sealed record AnchoredRegex(bool IsStart, RegexSyntax Syntax, bool IsEnd);

/// <summary>Brings the anchors of a pattern to its ends, as alternatives where they stand in alternatives.</summary>
internal static class RegexAnchors
{
    private const int MaxAlternatives = 100;
    private static readonly RegexSyntax Empty = new RegexSyntax.Sequence([]);

    /// <summary>Patterns one of which is found where the whole is.</summary>
    /// <exception cref="GrammarException">There are too many, an anchor is repeated, or none can ever be found.</exception>
    public static IReadOnlyList<AnchoredRegex> Alternatives(RegexSyntax syntax)
    {
        var found = Of(syntax);
        return found.Count > 0 ? found : throw new GrammarException("^ behind a text, or $ before one, is never found");
    }

    private static IReadOnlyList<AnchoredRegex> Of(RegexSyntax syntax) => !HasAnchor(syntax) ? [new(false, syntax, false)] : syntax switch
    {
        RegexSyntax.Anchor anchor => [new(anchor.IsStart, Empty, !anchor.IsStart)],
        RegexSyntax.Either either => Few([.. either.Parts.SelectMany(Of)]),
        RegexSyntax.Repeat { Least: 0, Most: 1 } optional => Few([.. Of(optional.Part), new(false, Empty, false)]),
        RegexSyntax.Repeat { Least: 1, Most: 1 } once => Of(once.Part),
        RegexSyntax.Sequence sequence => Runs(sequence.Parts).Aggregate((IReadOnlyList<AnchoredRegex>)[new(false, Empty, false)], Followed),
        _ => throw new GrammarException("^ and $ cannot be repeated"),
    };

    // What stands between anchors as one part each: patterns are long, and have few anchors.
    private static IEnumerable<RegexSyntax> Runs(IReadOnlyList<RegexSyntax> parts)
    {
        var run = new List<RegexSyntax>();
        foreach (var part in parts)
        {
            if (!HasAnchor(part))
            {
                run.Add(part);
                continue;
            }

            if (run.Count > 0)
                yield return new RegexSyntax.Sequence(run);
            run = [];
            yield return part;
        }

        if (run.Count > 0)
            yield return new RegexSyntax.Sequence(run);
    }

    private static RegexSyntax Joined(RegexSyntax first, RegexSyntax second) =>
        first is RegexSyntax.Sequence { Parts.Count: 0 } ? second : second is RegexSyntax.Sequence { Parts.Count: 0 } ? first : new RegexSyntax.Sequence([.. PartsOf(first), .. PartsOf(second)]);

    private static IReadOnlyList<RegexSyntax> PartsOf(RegexSyntax syntax) => syntax is RegexSyntax.Sequence sequence ? sequence.Parts : [syntax];

    private static IReadOnlyList<AnchoredRegex> Followed(IReadOnlyList<AnchoredRegex> before, RegexSyntax part)
    {
        var after = Of(part);
        return Few([.. before.SelectMany(first => after.Select(second => Followed(first, second)).OfType<AnchoredRegex>())]);
    }

    // Null: never found, since there is a text before ^ or behind $.
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

    private static bool HasAnchor(RegexSyntax syntax) => syntax switch
    {
        RegexSyntax.Anchor => true,
        RegexSyntax.Either either => either.Parts.Any(HasAnchor),
        RegexSyntax.Sequence sequence => sequence.Parts.Any(HasAnchor),
        RegexSyntax.Repeat repeat => HasAnchor(repeat.Part),
        _ => false,
    };

    private static bool CanBeEmpty(RegexSyntax syntax) => syntax switch
    {
        RegexSyntax.Anchor => true,
        RegexSyntax.Either either => either.Parts.Any(CanBeEmpty),
        RegexSyntax.Sequence sequence => sequence.Parts.All(CanBeEmpty),
        RegexSyntax.Repeat repeat => repeat.Least == 0 || CanBeEmpty(repeat.Part),
        _ => false,
    };
}
