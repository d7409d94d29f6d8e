namespace LocalLlm.Primitives;

/// <summary>
/// The syntax tree of a regular expression. A notation with parts of its own, such as EBNF with its rules, derives them from it.
/// </summary>
public abstract record RegexNode
{
    /// <summary>One code point of a set.</summary>
    /// <param name="Members">The set.</param>
    public sealed record Set(CodePointSet Members) : RegexNode;

    /// <summary>All parts, one after another.</summary>
    /// <param name="Parts">The parts; none: the empty text.</param>
    public sealed record Sequence(IReadOnlyList<RegexNode> Parts) : RegexNode;

    /// <summary>One of the branches; a matcher takes the first that leads to a match.</summary>
    /// <param name="Branches">The branches.</param>
    public sealed record Alternation(IReadOnlyList<RegexNode> Branches) : RegexNode;

    /// <summary>Between two numbers of times.</summary>
    /// <param name="Body">What is repeated.</param>
    /// <param name="Min">The smaller number.</param>
    /// <param name="Max">The larger number; null: no limit.</param>
    /// <param name="Lazy">Whether a matcher prefers fewer.</param>
    public sealed record Repeat(RegexNode Body, int Min, int? Max, bool Lazy) : RegexNode;

    /// <summary>A position, such as the start of the text.</summary>
    /// <param name="Kind">The position.</param>
    public sealed record Anchor(RegexAnchor Kind) : RegexNode;

    /// <summary>What follows must (or must not) match; nothing is consumed.</summary>
    /// <param name="Body">What is looked for.</param>
    /// <param name="Negative">Whether it must not match.</param>
    public sealed record Lookahead(RegexNode Body, bool Negative) : RegexNode;

    /// <summary>Matches once: no other way of matching the body is tried (possessive quantifiers).</summary>
    /// <param name="Body">The body.</param>
    public sealed record Atomic(RegexNode Body) : RegexNode;
}

/// <summary>A kind of position in a text.</summary>
public enum RegexAnchor
{
    /// <summary>Before the first character.</summary>
    TextStart,

    /// <summary>Behind the last character.</summary>
    TextEnd,

    /// <summary>Behind the last character, or before a line break that is the last one.</summary>
    TextEndOrLastLineBreak,

    /// <summary>Before the first character of a line.</summary>
    LineStart,

    /// <summary>Behind the last character of a line.</summary>
    LineEnd,

    /// <summary>Between a word character and another one.</summary>
    WordBorder,

    /// <summary>Anywhere else.</summary>
    NoWordBorder,
}
