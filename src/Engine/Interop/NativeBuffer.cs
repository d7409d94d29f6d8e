using System.Runtime.InteropServices;

namespace LocalLlm.Interop;

/// <summary>A growable list of plain values in unmanaged memory, 64-byte aligned: kernels read it by pointer, no pinning.</summary>
internal sealed unsafe class NativeBuffer<T> : IDisposable
    where T : unmanaged
{
    private const nuint Alignment = 64;
    private T* _items;
    private int _capacity;

    /// <summary>Number of items.</summary>
    public int Count { get; private set; }

    /// <summary>Address of the first item; moves when the list grows.</summary>
    public T* Pointer => _items;

    /// <summary>The items.</summary>
    public Span<T> Span => new(_items, Count);

    /// <summary>Removes all items and keeps the memory.</summary>
    public void Clear() => Count = 0;

    /// <summary>Appends one item.</summary>
    public void Add(T item)
    {
        EnsureCapacity(Count + 1);
        _items[Count++] = item;
    }

    /// <summary>Appends items.</summary>
    public void AddRange(ReadOnlySpan<T> items)
    {
        EnsureCapacity(Count + items.Length);
        items.CopyTo(new Span<T>(_items + Count, items.Length));
        Count += items.Length;
    }

    /// <summary>Sets the number of items; new ones are uninitialised.</summary>
    public void Resize(int count)
    {
        EnsureCapacity(count);
        Count = count;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        NativeMemory.AlignedFree(_items);
        _items = null;
        _capacity = Count = 0;
    }

    private void EnsureCapacity(int count)
    {
        if (count <= _capacity)
            return;
        var capacity = Math.Max(count, Math.Max(64, _capacity * 2));
        _items = (T*)NativeMemory.AlignedRealloc(_items, (nuint)capacity * (nuint)sizeof(T), Alignment);
        _capacity = capacity;
    }
}
