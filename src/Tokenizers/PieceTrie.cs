using System.Text;

namespace LocalLlm.Tokenizers;

/// <summary>
/// The pieces of a vocabulary as a trie over UTF-16 units. One walk finds all pieces that begin at a position of a text. Nodes
/// are stored breadth first, so the children of a node are adjacent, in order of their units.
/// </summary>
internal sealed class PieceTrie
{
    /// <summary>The node where a walk begins; <see cref="Child"/> returns it for a missing child.</summary>
    public const int Root = 0;

    private readonly int[] _roots = new int[0x10000]; // first unit → node; most walks end there
    private readonly int[] _children; // node → its first child; the last one is before the next node's first
    private readonly char[] _units; // node → the unit that leads to it
    private readonly int[] _ids; // node → id of the piece that ends there, or -1

    /// <param name="vocabulary">The pieces, with the ids 0 to <see cref="TokenVocabulary.Size"/> - 1.</param>
    public PieceTrie(TokenVocabulary vocabulary)
    {
        var (text, starts) = Decode(vocabulary);
        ReadOnlySpan<char> Piece(int id) => text.AsSpan(starts[id], starts[id + 1] - starts[id]);
        var sorted = Enumerable.Range(0, vocabulary.Size).ToArray();
        Array.Sort(sorted, (a, b) => Piece(a).SequenceCompareTo(Piece(b)));

        // At first a node is the range of sorted pieces with a common prefix of Depth units.
        var ranges = new List<(int Low, int High, int Depth)> { (0, sorted.Length, 0) };
        var (children, units, ids) = (new List<int>(), new List<char> { '\0' }, new List<int>());
        for (var node = 0; node < ranges.Count; node++)
        {
            var (low, high, depth) = ranges[node];
            var ends = low < high && Piece(sorted[low]).Length == depth;
            ids.Add(ends ? sorted[low++] : -1);
            children.Add(ranges.Count);
            while (low < high)
            {
                var unit = Piece(sorted[low])[depth];
                var first = low;
                while (low < high && Piece(sorted[low])[depth] == unit)
                    low++;
                if (node == Root)
                    _roots[unit] = ranges.Count;
                ranges.Add((first, low, depth + 1));
                units.Add(unit);
            }
        }

        children.Add(ranges.Count);
        (_children, _units, _ids) = ([.. children], [.. units], [.. ids]);
    }

    /// <summary>The child of <paramref name="node"/> for one more unit, or <see cref="Root"/> if no piece continues that way.</summary>
    public int Child(int node, char unit)
    {
        if (node == Root)
            return _roots[unit];
        var (low, high) = (_children[node], _children[node + 1]);
        while (low < high)
        {
            var middle = (low + high) >>> 1;
            if (_units[middle] < unit)
                low = middle + 1;
            else
                high = middle;
        }

        return low < _children[node + 1] && _units[low] == unit ? low : Root;
    }

    /// <summary>The id of the piece that ends at a node, or -1.</summary>
    public int IdAt(int node) => _ids[node];

    private static (char[] Text, int[] Starts) Decode(TokenVocabulary vocabulary)
    {
        var starts = new int[vocabulary.Size + 1];
        for (var id = 0; id < vocabulary.Size; id++)
            starts[id + 1] = starts[id] + Encoding.UTF8.GetCharCount(vocabulary.Utf8(id));
        var text = new char[starts[^1]];
        for (var id = 0; id < vocabulary.Size; id++)
            Encoding.UTF8.GetChars(vocabulary.Utf8(id), text.AsSpan(starts[id]));
        return (text, starts);
    }
}
