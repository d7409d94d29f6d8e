namespace LocalLlm.Primitives;

/// <summary>
/// The syntax tree of a regular expression. A notation with further node types, such as the rules of EBNF, derives them from this type.
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

    /// <summary>The body, repeated between two numbers of times.</summary>
    /// <param name="Body">What is repeated.</param>
    /// <param name="Min">The smaller number.</param>
    /// <param name="Max">The larger number; null: no limit.</param>
    /// <param name="Lazy">Whether a matcher prefers fewer repetitions.</param>
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

    /// <summary>After the last character.</summary>
    TextEnd,

    /// <summary>After the last character, or before a final line break.</summary>
    TextEndOrLastLineBreak,

    /// <summary>Before the first character of a line.</summary>
    LineStart,

    /// <summary>After the last character of a line.</summary>
    LineEnd,

    /// <summary>Between a word character and a character that is not one (<c>\b</c>).</summary>
    WordBorder,

    /// <summary>Any position that is not a word border (<c>\B</c>).</summary>
    NoWordBorder,
}
