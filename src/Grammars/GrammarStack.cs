namespace LocalLlm.Grammars;

/// <summary>
/// The open rules at a place, the innermost first. One stack holds all ways in which the innermost rule may have been entered (a
/// graph-structured stack: Tomita, "Efficient parsing for natural language", 1985). Readings that differ only in what surrounds a
/// rule are therefore walked once inside it. <see cref="GrammarStacks"/> creates stacks: equal stacks of one generation are one
/// object.
/// </summary>
/// <param name="id">Later stacks have higher numbers.</param>
/// <param name="isShared">Whether the tokens that the innermost rule allows are found once for all its callers.</param>
/// <param name="entries">The ways in which the innermost rule was entered, in a fixed order; at least one.</param>
internal sealed class GrammarStack(int id, bool isShared, GrammarStack.Entry[] entries)
{
    /// <summary>Later stacks have higher numbers.</summary>
    public int Id { get; } = id;

    /// <summary>Whether the tokens that the innermost rule allows are found once for all its callers.</summary>
    public bool IsShared { get; } = isShared;

    /// <summary>The ways in which the innermost rule was entered.</summary>
    public Entry[] Entries { get; } = entries;

    /// <summary>Whether any of the open rules is repeated.</summary>
    public bool HasLoop { get; } = Array.Exists(entries, entry => entry.Loop >= 0 || entry.Parent?.HasLoop == true);

    /// <summary>Number of open rules.</summary>
    public int Depth { get; } = entries.Max(entry => entry.Parent?.Depth ?? 0) + 1;

    /// <summary>One way in which a rule was entered.</summary>
    /// <param name="Return">The node that follows the rule.</param>
    /// <param name="Parent">The rules around it; null: none.</param>
    /// <param name="Loop">The edge that repeats the rule; below 0: the rule is not repeated.</param>
    /// <param name="Count">Number of the repetition, from 1; not counted beyond the point where it matters.</param>
    internal readonly record struct Entry(int Return, GrammarStack? Parent, int Loop = -1, int Count = 0) : IComparable<Entry>
    {
        /// <summary>Whether two entries differ at most in the rules around them.</summary>
        public bool IsAlike(in Entry other) => Return == other.Return && Loop == other.Loop && Count == other.Count && Parent is null == other.Parent is null;

        public int CompareTo(Entry other)
        {
            if (Return != other.Return)
                return Return.CompareTo(other.Return);
            if (Loop != other.Loop)
                return Loop.CompareTo(other.Loop);
            return Count != other.Count ? Count.CompareTo(other.Count) : (Parent?.Id ?? 0).CompareTo(other.Parent?.Id ?? 0);
        }
    }
}
