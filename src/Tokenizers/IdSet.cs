namespace LocalLlm.Tokenizers;

/// <summary>A set of token ids as bits.</summary>
internal sealed class IdSet
{
    private readonly ulong[] _bits;

    public IdSet(IEnumerable<int> ids)
    {
        var all = ids.ToArray();
        _bits = new ulong[all.Length == 0 ? 0 : all.Max() / 64 + 1];
        foreach (var id in all)
            _bits[id >> 6] |= 1ul << (id & 63);
    }

    public bool Contains(int id) => (uint)id >> 6 < (uint)_bits.Length && (_bits[id >> 6] >> (id & 63) & 1) != 0;

    public bool ContainsAny(ReadOnlySpan<int> ids)
    {
        foreach (var id in ids)
        {
            if (Contains(id))
                return true;
        }

        return false;
    }
}
