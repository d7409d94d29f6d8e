namespace LocalLlm.Scheduling;

/// <summary>
/// Where each run of so many tokens of a text occurred last, by its end. Open addressing; a slot holds the position alone, the tokens
/// are compared in the text itself.
/// </summary>
/// <param name="length">Tokens of a run.</param>
internal sealed class NgramIndex(int length)
{
    private int[] _ends = new int[64]; // a power of two, at most half full; 0: empty
    private uint[] _hashes = new uint[64];
    private int _count;

    /// <summary>Tokens of a run.</summary>
    public int Length => length;

    /// <summary>Where a run equal to that before <paramref name="end"/> ends; 0: it did not occur.</summary>
    /// <param name="tokens">The text.</param>
    /// <param name="end">At least <see cref="Length"/>.</param>
    /// <param name="hash">Of the run.</param>
    public int Find(ReadOnlySpan<int> tokens, int end, uint hash) => _ends[Slot(tokens, end, hash)];

    /// <summary>The run before <paramref name="end"/> occurred there last.</summary>
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
