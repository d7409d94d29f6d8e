using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using LocalLlm.Ops.Cpu;

namespace LocalLlm.Sampling;

/// <summary>
/// The sampler's float32 kernels. They use 512-bit vectors, which narrower hardware splits, so results do not depend on its width.
/// </summary>
/// <remarks>
/// Kernels are compiled once with full optimisation. Under tiered compilation, instrumented and profiled versions of the same loop ran up
/// to three times slower.
/// </remarks>
internal static class VectorMath
{
    private const int Lanes = RowScan.Lanes;

    /// <summary>0 to 15.</summary>
    public static Vector512<int> LaneIndices => Vector512<int>.Indices;

    /// <summary>16 elements from <paramref name="i"/>, all within the row.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Load(ReadOnlySpan<float> row, int i) =>
        Vector512.LoadUnsafe(ref MemoryMarshal.GetReference(row), (nuint)i);

    /// <summary>
    /// The fewer than 16 elements at a row's end, then -Infinity. A separate method, because a call inside a loop spills every register.
    /// </summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public static Vector512<float> LoadTail(ReadOnlySpan<float> rest)
    {
        Span<float> padded = stackalloc float[Lanes];
        padded.Fill(float.NegativeInfinity);
        rest.CopyTo(padded);
        return Vector512.Create<float>(padded);
    }

    /// <summary>
    /// Writes the lanes whose mask is set, packed, and returns their number. Overwrites up to 16 elements, whatever the mask.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int Compress<T>(Vector512<T> vector, Vector512<float> mask, Span<T> destination)
        where T : unmanaged
    {
        var bits = mask.ExtractMostSignificantBits();
        if (bits == 0)
            return 0;
        if (Avx512F.IsSupported)
        {
            Avx512F.Compress(Vector512<float>.Zero, mask, vector.AsSingle()).As<float, T>().CopyTo(destination);
            return BitOperations.PopCount(bits);
        }

        var count = 0;
        for (; bits != 0; bits &= bits - 1)
            destination[count++] = vector[BitOperations.TrailingZeroCount(bits)];
        return count;
    }

    /// <summary>The largest lane; no lane is NaN.</summary>
    public static float Max(Vector512<float> vector)
    {
        var max = vector[0];
        for (var lane = 1; lane < Lanes; lane++)
            max = Math.Max(max, vector[lane]);
        return max;
    }

    /// <summary>e^y for y at most 0, within 2 units in the last place; e^0 is exactly 1, and 0 below -87.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Exp(Vector512<float> y) => VectorExp.Exp(y);

    /// <summary>
    /// weights[i] = e^((values[i] - max) · scale): the softmax without its denominator. Weights are float32, as in vLLM; every sum of them
    /// is in double.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Weights(ReadOnlySpan<float> values, float max, float scale, Span<float> weights)
    {
        Vector512<float> maxes = Vector512.Create(max), scales = Vector512.Create(scale);
        var i = 0;
        for (; i + Lanes <= values.Length; i += Lanes)
            Exp((Load(values, i) - maxes) * scales).StoreUnsafe(ref MemoryMarshal.GetReference(weights), (nuint)i);
        if (i < values.Length)
        {
            var tail = Exp((LoadTail(values[i..]) - maxes) * scales);
            for (var lane = 0; i + lane < values.Length; lane++)
                weights[i + lane] = tail[lane];
        }
    }

    /// <summary>Sums the weights of each block of the row, and so of the row, without storing the weights.</summary>
    /// <returns>The sum over all blocks, added in order.</returns>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static double BlockMasses(ReadOnlySpan<float> row, float max, float scale, Span<double> masses)
    {
        Vector512<float> maxes = Vector512.Create(max), scales = Vector512.Create(scale);
        var total = 0.0;
        for (var block = 0; block * RowScan.Block < row.Length; block++)
        {
            var i = block * RowScan.Block;
            var end = Math.Min(i + RowScan.Block, row.Length);
            Vector512<double> low = Vector512<double>.Zero, high = low;
            for (; i + Lanes <= end; i += Lanes)
            {
                var weights = Exp((Load(row, i) - maxes) * scales);
                low += Vector512.WidenLower(weights);
                high += Vector512.WidenUpper(weights);
            }

            if (i < end)
            {
                var weights = Exp((LoadTail(row[i..]) - maxes) * scales);
                low += Vector512.WidenLower(weights);
                high += Vector512.WidenUpper(weights);
            }

            masses[block] = Sum(low + high);
            total += masses[block];
        }

        return total;
    }

    /// <summary>
    /// Sums the weights that a cut keeps, for each block of the candidates; returns the sum over all blocks, added in order.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static double KeptMasses(
        ReadOnlySpan<int> ids, ReadOnlySpan<float> values, ReadOnlySpan<float> weights, Cut cut, Span<double> masses)
    {
        Vector512<float> threshold = Vector512.Create(cut.Threshold);
        var lastTie = Vector512.Create(cut.LastTie);
        var total = 0.0;
        for (var block = 0; block * RowScan.Block < ids.Length; block++)
        {
            var i = block * RowScan.Block;
            var end = Math.Min(i + RowScan.Block, ids.Length);
            Vector512<double> low = Vector512<double>.Zero, high = low;
            for (; i + Lanes <= end; i += Lanes)
            {
                var value = Load(values, i);
                var tie = Vector512.Equals(value, threshold)
                    & Vector512.LessThanOrEqual(Vector512.LoadUnsafe(ref MemoryMarshal.GetReference(ids), (nuint)i), lastTie).AsSingle();
                var kept = Load(weights, i) & (Vector512.GreaterThan(value, threshold) | tie);
                low += Vector512.WidenLower(kept);
                high += Vector512.WidenUpper(kept);
            }

            masses[block] = Sum(low + high);
            for (; i < end; i++)
                masses[block] += cut.Keeps(values[i], ids[i]) ? weights[i] : 0;
            total += masses[block];
        }

        return total;
    }

    /// <summary>The number of elements above the value, plus those equal to it before <paramref name="index"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static int CountBefore(ReadOnlySpan<float> row, float value, int index)
    {
        var values = Vector512.Create(value);
        var count = Vector512<int>.Zero;
        var i = 0;
        // A true lane is -1.
        for (; i + Lanes <= index; i += Lanes)
            count -= Vector512.GreaterThanOrEqual(Load(row, i), values).AsInt32();
        var before = 0;
        var middle = Math.Min(i + Lanes, row.Length);
        for (; i < middle; i++)
            before += row[i] > value || (row[i] == value && i < index) ? 1 : 0;
        for (; i + Lanes <= row.Length; i += Lanes)
            count -= Vector512.GreaterThan(Load(row, i), values).AsInt32();
        if (i < row.Length)
            count -= Vector512.GreaterThan(LoadTail(row[i..]), values).AsInt32();
        return before + Vector512.Sum(count);
    }

    /// <summary>Adds lane after lane: the order of a floating-point sum must not depend on the hardware.</summary>
    private static double Sum(Vector512<double> vector)
    {
        var sum = 0.0;
        for (var lane = 0; lane < Vector512<double>.Count; lane++)
            sum += vector[lane];
        return sum;
    }
}
