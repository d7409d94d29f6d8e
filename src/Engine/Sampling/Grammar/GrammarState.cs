namespace LocalLlm.Sampling.Grammar;

/// <summary>Where a text stands in a grammar: a set of places in the rules, each with the rules that are open there.</summary>
internal sealed class GrammarState
{
    private const int Bytes = 256;

    /// <summary>No text that begins so is in the grammar.</summary>
    public static readonly GrammarState Dead = new([], isAccepting: false, generation: 0);

    public GrammarState(Place[] places, bool isAccepting, int generation, bool escapes = false)
    {
        Escapes = escapes;
        Places = places;
        IsAccepting = isAccepting;
        Generation = generation;
    }

    /// <summary>Whether the text so far is a whole text of the grammar.</summary>
    public bool IsAccepting { get; }

    /// <summary>Whether the text so far may have left the rule that is looked at by itself (<see cref="ByteAutomaton.Inside(GrammarState)"/>): what may follow then is not known here.</summary>
    public bool Escapes { get; }

    /// <summary>The places that take a byte, in a fixed order.</summary>
    internal Place[] Places { get; }

    /// <summary>When the state was made: the automaton forgets the states of former generations.</summary>
    internal int Generation { get; }

    /// <summary>[256]: the state after each byte, null where that is not known yet. Null as a whole: no byte was tried.</summary>
    internal GrammarState?[]? Next { get; set; }

    /// <summary>The tokens that may come next; null: not made yet.</summary>
    internal uint[]? Mask { get; set; }

    /// <summary>Of a rule that is looked at by itself: the tokens that stay inside of it, and those of which only the text around can say whether they may come.</summary>
    internal (uint[] Inside, int[] Unknown)? Tokens { get; set; }

    /// <summary>Room for the states after each byte.</summary>
    internal GrammarState?[] MakeNext() => Next = new GrammarState?[Bytes];

    /// <summary>A place in the rules.</summary>
    /// <param name="Node">The node.</param>
    /// <param name="Stack">Where the open rules return to; null: none is open.</param>
    internal readonly record struct Place(int Node, GrammarStack? Stack) : IComparable<Place>
    {
        // Any fixed order does; two orders of one set would make two states of it, and no harm.
        public int CompareTo(Place other) => Node != other.Node ? Node.CompareTo(other.Node) : (Stack?.Identity ?? 0).CompareTo(other.Stack?.Identity ?? 0);
    }
}

/// <summary>Rules that are open, the innermost first. Equal when they return to the same places and were repeated as often.</summary>
/// <param name="parent">The rules around it.</param>
/// <param name="back">Where it returns to.</param>
/// <param name="loop">The edge by which it is repeated; below 0: it is not.</param>
/// <param name="count">Which repetition it is, from 1 on.</param>
/// <param name="isShared">Whether what its inside allows is found once for all places that call it.</param>
internal sealed class GrammarStack(GrammarStack? parent, int back, int loop = -1, int count = 0, bool isShared = false) : IEquatable<GrammarStack>
{
    /// <summary>The rules around the innermost.</summary>
    public GrammarStack? Parent { get; } = parent;

    /// <summary>Where the innermost returns to.</summary>
    public int Return { get; } = back;

    /// <summary>The edge by which the innermost is repeated; below 0: it is not.</summary>
    public int Loop { get; } = loop;

    /// <summary>Which repetition it is, from 1 on; no further than it matters.</summary>
    public int Count { get; } = count;

    /// <summary>Whether what its inside allows is found once for all places that call it.</summary>
    public bool IsShared { get; } = isShared;

    /// <summary>Whether any of the open rules is repeated.</summary>
    public bool HasLoop { get; } = loop >= 0 || parent?.HasLoop == true;

    /// <summary>Open rules.</summary>
    public int Depth { get; } = (parent?.Depth ?? 0) + 1;

    /// <summary>A hash of all of it (an LCG step for each part: Knuth, MMIX).</summary>
    public long Identity { get; } = Mixed(Mixed(Mixed(parent?.Identity ?? 0, back), loop), count);

    public bool Equals(GrammarStack? other)
    {
        for (var own = this; ; own = own.Parent, other = other.Parent)
        {
            if (ReferenceEquals(own, other))
                return true;
            if (own is null || other is null || own.Identity != other.Identity || own.Return != other.Return || own.Loop != other.Loop || own.Count != other.Count || own.Depth != other.Depth)
                return false;
        }
    }

    public override bool Equals(object? obj) => Equals(obj as GrammarStack);

    public override int GetHashCode() => Identity.GetHashCode();

    private static long Mixed(long hash, int part) => unchecked(((hash ^ part) * 6364136223846793005) + 1442695040888963407);
}
