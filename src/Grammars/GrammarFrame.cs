namespace LocalLlm.Grammars;

/// <summary>A rule entered since the last byte; further entries may still be found.</summary>
/// <param name="rule">The rule.</param>
internal sealed class GrammarFrame(int rule)
{
    /// <summary>
    /// Like <see cref="GrammarStack.Entry"/>; the rule around it may be a frame too, if it was also entered since the last byte.
    /// </summary>
    internal readonly record struct Entry(int Return, object? Around, int Loop, int Count);

    /// <summary>The rule.</summary>
    public int Rule { get; } = rule;

    /// <summary>The ways in which the rule was entered.</summary>
    public HashSet<Entry> Entries { get; } = [];

    /// <summary>Whether the end of the rule was reached without a byte.</summary>
    public bool HasBeenLeft { get; set; }

    /// <summary>Whether <see cref="Stack"/> is being built.</summary>
    public bool IsBeingResolved { get; set; }

    /// <summary>Number of open rules, as far as known.</summary>
    public int Depth { get; set; }

    /// <summary>The stack, once all entries are known.</summary>
    public GrammarStack? Stack { get; set; }
}
