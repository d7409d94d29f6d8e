namespace LocalLlm.Scheduling;

/// <summary>
/// Maps each run of a fixed number of tokens to the end of its latest occurrence in a text. Open addressing: a slot holds only the
/// position, and tokens are compared in the text itself.
/// </summary>
/// <param name="length">Number of tokens of a run.</param>
internal sealed class NgramIndex(int length)
{
    private int[] _ends = new int[64]; // a power of two, at most half full; 0: empty
    private uint[] _hashes = new uint[64];
    private int _count;

    /// <summary>Number of tokens of a run.</summary>
    public int Length => length;

    /// <summary>Finds the end of an earlier run equal to the one before <paramref name="end"/>; 0: none.</summary>
    /// <param name="tokens">The text.</param>
    /// <param name="end">At least <see cref="Length"/>.</param>
    /// <param name="hash">The run's hash.</param>
    public int Find(ReadOnlySpan<int> tokens, int end, uint hash) => _ends[Slot(tokens, end, hash)];

    /// <summary>Records the run before <paramref name="end"/> as the latest occurrence.</summary>
    public void Set(ReadOnlySpan<int> tokens, int end, uint hash)
    {
        var slot = Slot(tokens, end, hash);
        var isNew = _ends[slot] == 0;
        (_ends[slot], _hashes[slot]) = (end, hash);
        if (isNew && ++_count * 2 > _ends.Length)
            Grow();
    }

    private int Slot(ReadOnlySpan<int> tokens, int end, uint hash)
    {
        var run = tokens.Slice(end - length, length);
        var slot = (int)hash & (_ends.Length - 1);
        while (_ends[slot] != 0 && !(_hashes[slot] == hash && tokens.Slice(_ends[slot] - length, length).SequenceEqual(run)))
            slot = (slot + 1) & (_ends.Length - 1);
        return slot;
    }

    private void Grow()
    {
        var (ends, hashes) = (_ends, _hashes);
        (_ends, _hashes) = (new int[ends.Length * 2], new uint[ends.Length * 2]);
        for (var i = 0; i < ends.Length; i++)
        {
            if (ends[i] == 0)
                continue;
            var slot = (int)hashes[i] & (_ends.Length - 1);
            while (_ends[slot] != 0)
                slot = (slot + 1) & (_ends.Length - 1);
            (_ends[slot], _hashes[slot]) = (ends[i], hashes[i]);
        }
    }
}
