namespace LocalLlm.Grammars;

/// <summary>
/// The open rules at a place, the innermost first. All ways in which the innermost rule may have been entered are one stack (a
/// graph-structured stack: Tomita, "Efficient parsing for natural language", 1985), so
/// readings that differ only in what is around a rule are walked once inside it. <see cref="GrammarStacks"/> makes them: equal stacks of
/// one generation are one object.
/// </summary>
/// <param name="id">Later stacks have higher numbers.</param>
/// <param name="isShared">Whether what the innermost rule allows is found once for all places that call it.</param>
/// <param name="entries">Where the innermost rule returns to, in a fixed order; at least one.</param>
internal sealed class GrammarStack(int id, bool isShared, GrammarStack.Entry[] entries)
{
    /// <summary>Later stacks have higher numbers.</summary>
    public int Id { get; } = id;

    /// <summary>Whether what the innermost rule allows is found once for all places that call it.</summary>
    public bool IsShared { get; } = isShared;

    /// <summary>Where the innermost rule returns to.</summary>
    public Entry[] Entries { get; } = entries;

    /// <summary>Whether any of the open rules is repeated.</summary>
    public bool HasLoop { get; } = Array.Exists(entries, entry => entry.Loop >= 0 || entry.Parent?.HasLoop == true);

    /// <summary>Open rules.</summary>
    public int Depth { get; } = entries.Max(entry => entry.Parent?.Depth ?? 0) + 1;

    /// <summary>One way in which a rule was entered.</summary>
    /// <param name="Return">The node that follows the rule.</param>
    /// <param name="Parent">The rules around; null: none.</param>
    /// <param name="Loop">The edge by which the rule is repeated; below 0: it is not.</param>
    /// <param name="Count">Which repetition it is, from 1 on; no further than it matters.</param>
    internal readonly record struct Entry(int Return, GrammarStack? Parent, int Loop = -1, int Count = 0) : IComparable<Entry>
    {
        /// <summary>Whether the two differ in nothing but the rules around.</summary>
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
