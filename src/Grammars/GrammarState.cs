namespace LocalLlm.Grammars;

/// <summary>The position of a text in a grammar: a set of places in the rules, each with its open rules.</summary>
internal sealed class GrammarState
{
    private const int Bytes = 256;

    /// <summary>The grammar has no text with this beginning.</summary>
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

    /// <summary>
    /// Whether the text so far may have left the rule that is examined alone (<see cref="ByteAutomaton.Inside(GrammarState)"/>).
    /// What may follow then is not known here.
    /// </summary>
    public bool Escapes { get; }

    /// <summary>The places that take a byte, in a fixed order.</summary>
    internal Place[] Places { get; }

    /// <summary>When the state was created: the automaton forgets the states of earlier generations.</summary>
    internal int Generation { get; }

    /// <summary>[256]: the state after each byte, null if not known yet. Null as a whole: no byte was tried.</summary>
    internal GrammarState?[]? Next { get; set; }

    /// <summary>The tokens that may come next; null: not computed yet.</summary>
    internal uint[]? Mask { get; set; }

    /// <summary>
    /// For a rule that is examined alone: the tokens that stay inside it, and the tokens that only the surrounding text can allow
    /// or forbid.
    /// </summary>
    internal (uint[] Inside, int[] Unknown)? Tokens { get; set; }

    /// <summary>Allocates the row of next states.</summary>
    internal GrammarState?[] MakeNext() => Next = new GrammarState?[Bytes];

    /// <summary>A place in the rules.</summary>
    /// <param name="Node">The node.</param>
    /// <param name="Stack">Where the open rules return to; null: none is open.</param>
    internal readonly record struct Place(int Node, GrammarStack? Stack) : IComparable<Place>
    {
        public int CompareTo(Place other) => Node != other.Node ? Node.CompareTo(other.Node) : (Stack?.Id ?? 0).CompareTo(other.Stack?.Id ?? 0);
    }

    /// <summary>Compares sets of places.</summary>
    internal sealed class SamePlaces : IEqualityComparer<Place[]>
    {
        public bool Equals(Place[]? x, Place[]? y) => x.AsSpan().SequenceEqual(y);

        public int GetHashCode(Place[] places)
        {
            var hash = new HashCode();
            foreach (var place in places)
                hash.Add(place);
            return hash.ToHashCode();
        }
    }
}
