namespace LocalLlm.Tokenization;

/// <summary>The syntax tree of a regular expression.</summary>
internal abstract record RegexNode
{
    /// <summary>One code point of a set.</summary>
    public sealed record Set(CodePointSet Members) : RegexNode;

    /// <summary>All parts, one after another; none of them matches the empty text.</summary>
    public sealed record Sequence(IReadOnlyList<RegexNode> Parts) : RegexNode;

    /// <summary>The first branch that leads to a match.</summary>
    public sealed record Alternation(IReadOnlyList<RegexNode> Branches) : RegexNode;

    /// <summary>Between <paramref name="Min"/> and <paramref name="Max"/> times (-1: no limit).</summary>
    public sealed record Repeat(RegexNode Body, int Min, int Max, bool Lazy) : RegexNode;

    /// <summary>A position, such as the start of the text.</summary>
    public sealed record Anchor(RegexAnchor Kind) : RegexNode;

    /// <summary>What follows must (or must not) match; nothing is consumed.</summary>
    public sealed record Lookahead(RegexNode Body, bool Negative) : RegexNode;

    /// <summary>Matches once: no other way of matching the body is tried (possessive quantifiers).</summary>
    public sealed record Atomic(RegexNode Body) : RegexNode;
}

/// <summary>A kind of position in a text.</summary>
internal enum RegexAnchor
{
    TextStart,
    TextEnd,
    TextEndOrLastLineBreak,
    LineStart,
    LineEnd,
    WordBorder,
    NoWordBorder,
}
