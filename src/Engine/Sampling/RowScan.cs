using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace LocalLlm.Sampling;

/// <summary>
/// One pass over a row of logits. It finds the maximum, whether every element is finite or -Infinity, and the maxima of small groups,
/// which let later passes skip almost all of the row. A block has 1,024 consecutive elements; group l of a block holds its elements l, l +
/// 16, l + 32 …
/// </summary>
internal sealed class RowScan(int vocabularySize)
{
    public const int Block = 1024;
    public const int Lanes = 16;
    private const uint Magnitude = 0x7FFF_FFFF;
    private const uint Infinity = 0x7F80_0000;
    private readonly float[] _groupMax = new float[Blocks(vocabularySize) * Lanes];

    /// <summary>[blocks × 16]: the largest element of each group, -Infinity for an empty one.</summary>
    public ReadOnlySpan<float> GroupMax => _groupMax;

    public float Max { get; private set; }

    /// <summary>Whether every element is finite or -Infinity, and at least one is finite.</summary>
    public bool IsValid { get; private set; }

    public static int Blocks(int length) => (length + Block - 1) / Block;

    /// <summary>Scans a row of the vocabulary's size.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Scan(ReadOnlySpan<float> row)
    {
        ref var first = ref MemoryMarshal.GetReference(row);
        ref var groups = ref MemoryMarshal.GetArrayDataReference(_groupMax);
        var magnitude = Vector512.Create(Magnitude);
        var all = Vector512.Create(float.NegativeInfinity);
        var largest = Vector512<uint>.Zero;
        for (var block = 0; block * Block < row.Length; block++)
        {
            var i = block * Block;
            var end = Math.Min(i + Block, row.Length);
            Vector512<float> even = Vector512.Create(float.NegativeInfinity), odd = even;
            for (; i + 2 * Lanes <= end; i += 2 * Lanes)
            {
                var a = Vector512.LoadUnsafe(ref first, (nuint)i);
                var b = Vector512.LoadUnsafe(ref first, (nuint)(i + Lanes));
                even = Vector512.MaxNative(a, even);
                odd = Vector512.MaxNative(b, odd);
                largest = Vector512.Max(largest, Vector512.Max(a.AsUInt32() & magnitude, b.AsUInt32() & magnitude));
            }

            // At most one whole vector and a tail remain, both in the last block.
            for (; i < end; i += Lanes)
            {
                var tail = i + Lanes <= end ? VectorMath.Load(row, i) : VectorMath.LoadTail(row[i..]);
                even = Vector512.MaxNative(tail, even);
                largest = Vector512.Max(largest, tail.AsUInt32() & magnitude);
            }

            even = Vector512.MaxNative(even, odd);
            even.StoreUnsafe(ref groups, (nuint)(block * Lanes));
            all = Vector512.MaxNative(all, even);
        }

        Max = VectorMath.Max(all);
        // -Infinity is legal and has the same magnitude as Infinity; a NaN's magnitude is larger, and +Infinity shows in the maximum.
        IsValid = float.IsFinite(Max) && !Vector512.GreaterThanAny(largest, Vector512.Create(Infinity));
    }

    /// <summary>The lowest index of the maximum.</summary>
    public int ArgMax(ReadOnlySpan<float> row)
    {
        var start = _groupMax.AsSpan().IndexOf(Max) / Lanes * Block;
        return start + row[start..].IndexOf(Max);
    }

    /// <summary>Collects the elements that are at least <paramref name="threshold"/>, by ascending index; returns their number.</summary>
    /// <param name="row">The scanned row.</param>
    /// <param name="threshold">The smallest value to take.</param>
    /// <param name="ids">Receives the indices. Needs the row's length plus <see cref="Lanes"/>, because whole vectors are written.</param>
    /// <param name="values">Receives the values; needs the same room.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public int Gather(ReadOnlySpan<float> row, float threshold, Span<int> ids, Span<float> values)
    {
        var count = 0;
        var least = Vector512.Create(threshold);
        for (var block = 0; block * Block < row.Length; block++)
        {
            if (!Vector512.GreaterThanOrEqualAny(Vector512.LoadUnsafe(ref _groupMax[block * Lanes]), least))
                continue;
            var i = block * Block;
            var end = Math.Min(i + Block, row.Length);
            for (; i + Lanes <= end; i += Lanes)
            {
                var vector = VectorMath.Load(row, i);
                var taken = Vector512.GreaterThanOrEqual(vector, least);
                VectorMath.Compress(VectorMath.LaneIndices + Vector512.Create(i), taken, ids[count..]);
                count += VectorMath.Compress(vector, taken, values[count..]);
            }

            for (; i < end; i++)
            {
                if (row[i] < threshold)
                    continue;
                ids[count] = i;
                values[count++] = row[i];
            }
        }

        return count;
    }
}
