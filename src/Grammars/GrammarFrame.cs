namespace LocalLlm.Grammars;

/// <summary>A rule that was entered since the last byte; more ways in may still be found.</summary>
/// <param name="rule">The rule.</param>
internal sealed class GrammarFrame(int rule)
{
    /// <summary>As <see cref="GrammarStack.Entry"/>; what is around may have been entered since the last byte too, and be a
    /// frame.</summary>
    internal readonly record struct Entry(int Return, object? Around, int Loop, int Count);

    /// <summary>The rule.</summary>
    public int Rule { get; } = rule;

    /// <summary>The ways in.</summary>
    public HashSet<Entry> Entries { get; } = [];

    /// <summary>Whether its end was reached without a byte.</summary>
    public bool HasBeenLeft { get; set; }

    /// <summary>Whether <see cref="Stack"/> is being made.</summary>
    public bool IsBeingResolved { get; set; }

    /// <summary>Open rules, as far as is known.</summary>
    public int Depth { get; set; }

    /// <summary>The stack, when all ways in are known.</summary>
    public GrammarStack? Stack { get; set; }
}
