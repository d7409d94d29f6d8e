namespace LocalLlm.Grammars;

/// <summary>A regular expression as a tree.</summary>
internal abstract record RegexSyntax
{
    /// <summary>One character of some ranges of code points, in order and apart.</summary>
    public sealed record Characters(IReadOnlyList<(int First, int Last)> Ranges) : RegexSyntax;

    /// <summary>One after the other.</summary>
    public sealed record Sequence(IReadOnlyList<RegexSyntax> Parts) : RegexSyntax;

    /// <summary>One of them.</summary>
    public sealed record Either(IReadOnlyList<RegexSyntax> Parts) : RegexSyntax;

    /// <summary>From <paramref name="Least"/> to <paramref name="Most"/> times; null: any number.</summary>
    public sealed record Repeat(RegexSyntax Part, int Least, int? Most) : RegexSyntax;

    /// <summary>Where the text begins, or where it ends.</summary>
    public sealed record Anchor(bool IsStart) : RegexSyntax;

    /// <summary>A rule, in notations that have them.</summary>
    public sealed record Reference(string Name) : RegexSyntax;
}
