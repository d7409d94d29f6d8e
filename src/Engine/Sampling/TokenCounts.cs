using System.Numerics;

namespace LocalLlm.Sampling;

/// <summary>
/// Counts each token in a sequence's output, and records which tokens its prompt has. Only tokens that occur take memory.
/// Open addressing over two parallel lists: a step walks a dense list and allocates nothing but an occasional doubling.
/// </summary>
internal sealed class TokenCounts
{
    private int[] _ids = new int[16];
    private int[] _counts = new int[16];

    // Position in the lists plus 1; 0 is an empty slot. A power of two, at most half full.
    private int[] _slots = new int[64];

    /// <summary>Every distinct token of prompt and output.</summary>
    public ReadOnlySpan<int> Ids => _ids.AsSpan(0, Distinct);

    /// <summary>How often each of <see cref="Ids"/> occurs in the output; 0 for a token of the prompt alone.</summary>
    public ReadOnlySpan<int> Counts => _counts.AsSpan(0, Distinct);

    private int Distinct { get; set; }

    public void AddPrompt(int id) => Find(id);

    public void AddOutput(int id)
    {
        // Find may replace the array of counts, so call it first.
        var index = Find(id);
        _counts[index]++;
    }

    private int Find(int id)
    {
        var mask = _slots.Length - 1;
        var slot = Hash(id, mask);
        for (; _slots[slot] != 0; slot = (slot + 1) & mask)
        {
            if (_ids[_slots[slot] - 1] == id)
                return _slots[slot] - 1;
        }

        if (Distinct == _ids.Length)
            Grow();
        _ids[Distinct] = id;
        Place(Distinct);
        return Distinct++;
    }

    private void Grow()
    {
        Array.Resize(ref _ids, _ids.Length * 2);
        Array.Resize(ref _counts, _counts.Length * 2);
        _slots = new int[BitOperations.RoundUpToPowerOf2((uint)_ids.Length * 2)];
        for (var i = 0; i < Distinct; i++)
            Place(i);
    }

    private void Place(int index)
    {
        var mask = _slots.Length - 1;
        var slot = Hash(_ids[index], mask);
        while (_slots[slot] != 0)
            slot = (slot + 1) & mask;
        _slots[slot] = index + 1;
    }

    private static int Hash(int id, int mask) => (int)(((uint)id * 0x9E3779B1u) >> 7) & mask;
}
