using System.Buffers.Binary;

namespace LocalLlm.Tokenizers;

/// <summary>
/// A trie over bytes in the layout of the library Darts-clone. A node is its base, an index into the units. Its child for a byte
/// is at base XOR byte, and repeats that byte as its label. If the child's flag says so, the unit at the child's own base holds a
/// value.
/// </summary>
internal sealed class DoubleArrayTrie
{
    /// <summary>Real tries have some ten thousand units; the check takes time and memory per unit.</summary>
    public const int MaxUnits = 1 << 18;

    private readonly uint[] _units;

    /// <param name="bytes">Little-endian units of four bytes. They are untrusted: every unit that a text can reach is checked.</param>
    /// <param name="values">Receives the values of all keys.</param>
    /// <exception cref="FormatException">A unit leads out of the array or into a cycle.</exception>
    public DoubleArrayTrie(ReadOnlySpan<byte> bytes, ISet<int> values)
    {
        if (bytes.Length is < 4 or > 4 * MaxUnits)
            throw new FormatException($"has a trie of {bytes.Length / 4} units; 1 to {MaxUnits} were expected");
        _units = new uint[bytes.Length / 4];
        for (var i = 0; i < _units.Length; i++)
            _units[i] = BinaryPrimitives.ReadUInt32LittleEndian(bytes[(4 * i)..]);
        Check(values);
    }

    /// <summary>The value of the shortest key that is a prefix of <paramref name="text"/>, or -1. No key holds a NUL.</summary>
    public int FindShortest(ReadOnlySpan<byte> text)
    {
        var node = Base(0);
        foreach (var b in text)
        {
            var child = node ^ b;
            if (b == 0 || !IsLabelled(child, b))
                return -1;
            node = Base(child);
            if (HasValue(child))
                return Value(node);
        }

        return -1;
    }

    private int Base(int unit) => unit ^ (int)(_units[unit] >> 10 << (int)((_units[unit] & 1u << 9) >> 6));

    private bool HasValue(int unit) => (_units[unit] >> 8 & 1) != 0;

    // A unit that holds a value has the highest bit set and so is no node's child.
    private bool IsLabelled(int unit, int label) => (_units[unit] & (1u << 31 | 0xFF)) == label;

    private int Value(int unit) => (int)(_units[unit] & int.MaxValue);

    /// <summary>Visits every node once, depth first; a node that is its own descendant closes a cycle.</summary>
    private void Check(ISet<int> values)
    {
        const byte Open = 1, Done = 2;
        var states = new byte[_units.Length];
        var path = new Stack<(int Node, int NextByte)>();
        Enter(Base(0));
        while (path.TryPop(out var place))
        {
            var (node, label) = place;
            while (label <= 0xFF && !IsLabelled(node ^ label, label))
                label++;
            if (label > 0xFF)
            {
                states[node] = Done;
                continue;
            }

            path.Push((node, label + 1));
            var child = Base(node ^ label);
            Enter(child);
            if (HasValue(node ^ label))
                values.Add(Value(child));
        }

        void Enter(int node)
        {
            if ((node | 0xFF) >= states.Length)
                throw new FormatException($"has a trie of {states.Length} units that leads to unit {node | 0xFF}");
            if (states[node] == Open)
                throw new FormatException("has a trie that leads round in a circle");
            if (states[node] == Done)
                return; // keys may share equal suffixes
            states[node] = Open;
            path.Push((node, 1));
        }
    }
}
