using System.Numerics;
using System.Runtime.CompilerServices;
using System.Security.Cryptography;

namespace LocalLlm.Tokenizers;

/// <summary>Maps a pair of adjacent token ids to the rank of its merge and the merged id. Open addressing, filled once.</summary>
internal sealed class MergeTable
{
    private readonly ulong _seed = BitConverter.ToUInt64(RandomNumberGenerator.GetBytes(8)) | 1;
    private Slot[] _slots = new Slot[64];
    private int _count;

    /// <summary>Sets the merge of a pair; a later call for the same pair wins.</summary>
    public void Set(int left, int right, int rank, int merged)
    {
        if ((_count + 1) * 5 > _slots.Length * 3)
            Grow();
        ref var slot = ref Find(Key(left, right));
        if (slot.Key == 0)
            _count++;
        slot = new Slot(Key(left, right), rank, merged);
    }

    /// <summary>The rank of a pair's merge, or -1.</summary>
    public int Rank(int left, int right, out int merged)
    {
        ref var slot = ref Find(Key(left, right));
        merged = slot.Merged;
        return slot.Key == 0 ? -1 : slot.Rank;
    }

    // Never 0, which marks a free slot.
    private static ulong Key(int left, int right) => (ulong)(uint)(left + 1) << 32 | (uint)right;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private ref Slot Find(ulong key)
    {
        var slots = _slots;
        var mask = slots.Length - 1;
        var mixed = (key ^ key >> 27) * _seed;
        var index = (int)(mixed >> 64 - BitOperations.TrailingZeroCount(slots.Length)) & mask;
        while (true)
        {
            ref var slot = ref slots[index];
            if (slot.Key == key || slot.Key == 0)
                return ref slot;
            index = (index + 1) & mask;
        }
    }

    private void Grow()
    {
        var old = _slots;
        _slots = new Slot[old.Length * 2];
        foreach (var slot in old)
        {
            if (slot.Key != 0)
                Find(slot.Key) = slot;
        }
    }

    private readonly record struct Slot(ulong Key, int Rank, int Merged);
}
