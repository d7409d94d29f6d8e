using System.Buffers;
using System.Runtime.CompilerServices;

namespace LocalLlm.Tokenizers;

/// <summary>A four-ary min-heap of (rank, position), ordered by rank, then by position. The array is rented: dispose it.</summary>
internal struct MergeHeap(int capacity) : IDisposable
{
    private ulong[] _items = ArrayPool<ulong>.Shared.Rent(capacity + 4);
    private int _count;

    /// <summary>Adds an item without ordering it; <see cref="Heapify"/> must follow.</summary>
    public void Append(int rank, int position)
    {
        if (_count == _items.Length)
            Grow();
        _items[_count++] = (ulong)rank << 32 | (uint)position;
    }

    public readonly void Heapify()
    {
        for (var i = (_count - 2) >> 2; i >= 0; i--)
            SiftDown(i, _items[i]);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Push(int rank, int position)
    {
        Append(rank, position);
        var items = _items;
        var at = _count - 1;
        var item = items[at];
        while (at > 0)
        {
            var parent = (at - 1) >> 2;
            if (items[parent] <= item)
                break;
            items[at] = items[parent];
            at = parent;
        }

        items[at] = item;
    }

    public bool TryPop(out int rank, out int position)
    {
        if (_count == 0)
        {
            rank = position = -1;
            return false;
        }

        rank = (int)(_items[0] >> 32);
        position = (int)(uint)_items[0];
        _count--;
        if (_count > 0)
            SiftDown(0, _items[_count]);
        return true;
    }

    public readonly void Dispose() => ArrayPool<ulong>.Shared.Return(_items);

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private readonly void SiftDown(int at, ulong item)
    {
        var items = _items;
        while (true)
        {
            var child = 4 * at + 1;
            if (child >= _count)
                break;
            var end = Math.Min(child + 4, _count);
            var least = child;
            for (var i = child + 1; i < end; i++)
            {
                if (items[i] < items[least])
                    least = i;
            }

            if (items[least] >= item)
                break;
            items[at] = items[least];
            at = least;
        }

        items[at] = item;
    }

    private void Grow()
    {
        var larger = ArrayPool<ulong>.Shared.Rent(_items.Length * 2);
        _items.AsSpan(0, _count).CopyTo(larger);
        ArrayPool<ulong>.Shared.Return(_items);
        _items = larger;
    }
}
