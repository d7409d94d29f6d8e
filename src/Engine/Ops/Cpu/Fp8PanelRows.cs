using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace LocalLlm.Ops.Cpu;

/// <summary>
/// Multiplies rows by a panel of 8-bit floats (<see cref="Fp8Panels"/>), one column of blocks after the other, widened in registers. The
/// lanes are outputs. An output adds its products in the order of the inputs, so a row's result does not depend on the other rows.
/// </summary>
internal static unsafe class Fp8PanelRows
{
    /// <summary>Max number of rows of one product.</summary>
    public const int MaxRows = 4;

    // Prefetch distance: far enough for a line to arrive from memory before it is needed.
    private const int PrefetchAhead = 1024;

    /// <summary>
    /// Multiplies 1 to 4 rows by a panel. Adds the sums of the columns of blocks, each times its scale, in the order of the columns.
    /// </summary>
    /// <param name="x">[rows, padded in], as <see cref="Prepare"/> writes them.</param>
    /// <param name="rows">Number of rows.</param>
    /// <param name="segments">The columns of blocks.</param>
    /// <param name="panel">The panel.</param>
    /// <param name="scales">[columns, 64], times <see cref="Fp8Panels.HalfBias"/>.</param>
    /// <param name="totals">[4, 64]; the rest after the rows may be overwritten.</param>
    public static void Multiply(float* x, int rows, in Fp8Segments segments, uint* panel, float* scales, float* totals)
    {
        new Span<float>(totals, MaxRows * Fp8Panels.Width).Clear();
        var width = segments.PaddedWidth;
        for (var column = 0; column < segments.Count; column++)
        {
            var start = segments.PaddedStart(column);
            var weights = panel + ((long)start / Fp8Segments.GroupWidth * Fp8Panels.Width);
            Add(x + start, width, rows, weights, segments.Groups(column), scales + (column * Fp8Panels.Width), totals);
        }
    }

    /// <summary>
    /// Writes adjacent elements of a row as products need them: each column of blocks padded to whole groups, times
    /// <see cref="Fp8Panels.HalfBias"/>.
    /// </summary>
    /// <param name="source">The elements.</param>
    /// <param name="first">Index of the first element in the row.</param>
    /// <param name="count">Number of elements.</param>
    /// <param name="segments">The columns of blocks.</param>
    /// <param name="row">[padded in].</param>
    public static void Prepare<T, TElement>(T* source, int first, int count, in Fp8Segments segments, float* row)
        where T : unmanaged
        where TElement : struct, IElement<T>
    {
        var segment = (first + segments.ColumnOffset) / segments.BlockColumns;
        for (var end = first + count; first < end; segment++)
        {
            var (start, length) = (segments.Start(segment), segments.Length(segment));
            var taken = Math.Min(start + length, end) - first;
            var target = row + segments.PaddedStart(segment) + (first - start);
            var i = 0;
            for (; i + 16 <= taken; i += 16)
                (TElement.Load(source + i) * Fp8Panels.HalfBias).Store(target + i);
            for (; i < taken; i++)
                target[i] = TElement.ToSingle(source[i]) * Fp8Panels.HalfBias;
            if (first + taken == start + length)
            {
                for (var place = length; place % Fp8Segments.GroupWidth != 0; place++)
                    target[place - (first - start)] = 0;
            }

            source += taken;
            first += taken;
        }
    }

    private static void Add(float* x, long stride, int rows, uint* weights, int groups, float* scales, float* totals)
    {
        if (rows == 1)
            OneRow(x, weights, groups, scales, totals);
        else if (rows == 2)
            TwoRows(x, stride, weights, groups, scales, totals);
        else
            FourRows(x, stride, rows, weights, groups, scales, totals);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void OneRow(float* x, uint* weights, int groups, float* scales, float* totals)
    {
        var mask = Fp8Panels.Mask;
        var a0 = Vector512<float>.Zero;
        var a1 = a0;
        var a2 = a0;
        var a3 = a0;
        for (var group = 0; group < groups; group++, weights += Fp8Panels.Width, x += Fp8Segments.GroupWidth)
        {
            Prefetch(weights);
            var w0 = Vector512.Load(weights);
            var w1 = Vector512.Load(weights + 16);
            var w2 = Vector512.Load(weights + 32);
            var w3 = Vector512.Load(weights + 48);
            MultiplyAdd(x[0], w0, w1, w2, w3, 24, mask, ref a0, ref a1, ref a2, ref a3);
            MultiplyAdd(x[1], w0, w1, w2, w3, 16, mask, ref a0, ref a1, ref a2, ref a3);
            MultiplyAdd(x[2], w0, w1, w2, w3, 8, mask, ref a0, ref a1, ref a2, ref a3);
            MultiplyAdd(x[3], w0, w1, w2, w3, 0, mask, ref a0, ref a1, ref a2, ref a3);
        }

        AddScaled(scales, totals, a0, a1, a2, a3);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void TwoRows(float* x, long stride, uint* weights, int groups, float* scales, float* totals)
    {
        var mask = Fp8Panels.Mask;
        var x1 = x + stride;
        var a0 = Vector512<float>.Zero;
        var a1 = a0;
        var a2 = a0;
        var a3 = a0;
        var b0 = a0;
        var b1 = a0;
        var b2 = a0;
        var b3 = a0;
        for (var group = 0; group < groups; group++)
        {
            Prefetch(weights);
            Step(x[0], x1[0], weights, 24, mask, ref a0, ref a1, ref a2, ref a3, ref b0, ref b1, ref b2, ref b3);
            Step(x[1], x1[1], weights, 16, mask, ref a0, ref a1, ref a2, ref a3, ref b0, ref b1, ref b2, ref b3);
            Step(x[2], x1[2], weights, 8, mask, ref a0, ref a1, ref a2, ref a3, ref b0, ref b1, ref b2, ref b3);
            Step(x[3], x1[3], weights, 0, mask, ref a0, ref a1, ref a2, ref a3, ref b0, ref b1, ref b2, ref b3);
            x += Fp8Segments.GroupWidth;
            x1 += Fp8Segments.GroupWidth;
            weights += Fp8Panels.Width;
        }

        AddScaled(scales, totals, a0, a1, a2, a3);
        AddScaled(scales, totals + Fp8Panels.Width, b0, b1, b2, b3);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void FourRows(float* x, long stride, int rows, uint* weights, int groups, float* scales, float* totals)
    {
        var mask = Fp8Panels.Mask;
        // With three rows, the last one is computed twice.
        var x1 = x + stride;
        var x2 = x1 + stride;
        var x3 = rows > 3 ? x2 + stride : x2;
        var a0 = Vector512<float>.Zero;
        var a1 = a0;
        var a2 = a0;
        var a3 = a0;
        var b0 = a0;
        var b1 = a0;
        var b2 = a0;
        var b3 = a0;
        var c0 = a0;
        var c1 = a0;
        var c2 = a0;
        var c3 = a0;
        var d0 = a0;
        var d1 = a0;
        var d2 = a0;
        var d3 = a0;
        for (var group = 0; group < groups; group++)
        {
            Prefetch(weights);
            Step(x[0], x1[0], x2[0], x3[0], weights, 24, mask,
                ref a0, ref a1, ref a2, ref a3, ref b0, ref b1, ref b2, ref b3, ref c0, ref c1, ref c2, ref c3, ref d0, ref d1, ref d2, ref d3);
            Step(x[1], x1[1], x2[1], x3[1], weights, 16, mask,
                ref a0, ref a1, ref a2, ref a3, ref b0, ref b1, ref b2, ref b3, ref c0, ref c1, ref c2, ref c3, ref d0, ref d1, ref d2, ref d3);
            Step(x[2], x1[2], x2[2], x3[2], weights, 8, mask,
                ref a0, ref a1, ref a2, ref a3, ref b0, ref b1, ref b2, ref b3, ref c0, ref c1, ref c2, ref c3, ref d0, ref d1, ref d2, ref d3);
            Step(x[3], x1[3], x2[3], x3[3], weights, 0, mask,
                ref a0, ref a1, ref a2, ref a3, ref b0, ref b1, ref b2, ref b3, ref c0, ref c1, ref c2, ref c3, ref d0, ref d1, ref d2, ref d3);
            x += Fp8Segments.GroupWidth;
            x1 += Fp8Segments.GroupWidth;
            x2 += Fp8Segments.GroupWidth;
            x3 += Fp8Segments.GroupWidth;
            weights += Fp8Panels.Width;
        }

        AddScaled(scales, totals, a0, a1, a2, a3);
        AddScaled(scales, totals + Fp8Panels.Width, b0, b1, b2, b3);
        AddScaled(scales, totals + (2 * Fp8Panels.Width), c0, c1, c2, c3);
        AddScaled(scales, totals + (3 * Fp8Panels.Width), d0, d1, d2, d3);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Prefetch(uint* weights)
    {
        if (!Sse.IsSupported)
            return;
        Sse.Prefetch0(weights + PrefetchAhead);
        Sse.Prefetch0(weights + PrefetchAhead + 16);
        Sse.Prefetch0(weights + PrefetchAhead + 32);
        Sse.Prefetch0(weights + PrefetchAhead + 48);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Step(
        float x, float x1, uint* weights, int shift, Vector512<uint> mask,
        ref Vector512<float> a0, ref Vector512<float> a1, ref Vector512<float> a2, ref Vector512<float> a3,
        ref Vector512<float> b0, ref Vector512<float> b1, ref Vector512<float> b2, ref Vector512<float> b3)
    {
        var w0 = Fp8Panels.Widen(Vector512.Load(weights), shift, mask);
        var w1 = Fp8Panels.Widen(Vector512.Load(weights + 16), shift, mask);
        var w2 = Fp8Panels.Widen(Vector512.Load(weights + 32), shift, mask);
        var w3 = Fp8Panels.Widen(Vector512.Load(weights + 48), shift, mask);
        MultiplyAdd(x, w0, w1, w2, w3, ref a0, ref a1, ref a2, ref a3);
        MultiplyAdd(x1, w0, w1, w2, w3, ref b0, ref b1, ref b2, ref b3);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Step(
        float x, float x1, float x2, float x3, uint* weights, int shift, Vector512<uint> mask,
        ref Vector512<float> a0, ref Vector512<float> a1, ref Vector512<float> a2, ref Vector512<float> a3,
        ref Vector512<float> b0, ref Vector512<float> b1, ref Vector512<float> b2, ref Vector512<float> b3,
        ref Vector512<float> c0, ref Vector512<float> c1, ref Vector512<float> c2, ref Vector512<float> c3,
        ref Vector512<float> d0, ref Vector512<float> d1, ref Vector512<float> d2, ref Vector512<float> d3)
    {
        var w0 = Fp8Panels.Widen(Vector512.Load(weights), shift, mask);
        var w1 = Fp8Panels.Widen(Vector512.Load(weights + 16), shift, mask);
        var w2 = Fp8Panels.Widen(Vector512.Load(weights + 32), shift, mask);
        var w3 = Fp8Panels.Widen(Vector512.Load(weights + 48), shift, mask);
        MultiplyAdd(x, w0, w1, w2, w3, ref a0, ref a1, ref a2, ref a3);
        MultiplyAdd(x1, w0, w1, w2, w3, ref b0, ref b1, ref b2, ref b3);
        MultiplyAdd(x2, w0, w1, w2, w3, ref c0, ref c1, ref c2, ref c3);
        MultiplyAdd(x3, w0, w1, w2, w3, ref d0, ref d1, ref d2, ref d3);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void MultiplyAdd(
        float x, Vector512<uint> w0, Vector512<uint> w1, Vector512<uint> w2, Vector512<uint> w3, int shift, Vector512<uint> mask,
        ref Vector512<float> a0, ref Vector512<float> a1, ref Vector512<float> a2, ref Vector512<float> a3) =>
        MultiplyAdd(
            x, Fp8Panels.Widen(w0, shift, mask), Fp8Panels.Widen(w1, shift, mask), Fp8Panels.Widen(w2, shift, mask),
            Fp8Panels.Widen(w3, shift, mask), ref a0, ref a1, ref a2, ref a3);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void MultiplyAdd(
        float x, Vector512<float> w0, Vector512<float> w1, Vector512<float> w2, Vector512<float> w3,
        ref Vector512<float> a0, ref Vector512<float> a1, ref Vector512<float> a2, ref Vector512<float> a3)
    {
        var value = Vector512.Create(x);
        a0 = Vector512.FusedMultiplyAdd(value, w0, a0);
        a1 = Vector512.FusedMultiplyAdd(value, w1, a1);
        a2 = Vector512.FusedMultiplyAdd(value, w2, a2);
        a3 = Vector512.FusedMultiplyAdd(value, w3, a3);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void AddScaled(float* scales, float* totals, Vector512<float> a0, Vector512<float> a1, Vector512<float> a2, Vector512<float> a3)
    {
        Vector512.FusedMultiplyAdd(a0, Vector512.Load(scales), Vector512.Load(totals)).Store(totals);
        Vector512.FusedMultiplyAdd(a1, Vector512.Load(scales + 16), Vector512.Load(totals + 16)).Store(totals + 16);
        Vector512.FusedMultiplyAdd(a2, Vector512.Load(scales + 32), Vector512.Load(totals + 32)).Store(totals + 32);
        Vector512.FusedMultiplyAdd(a3, Vector512.Load(scales + 48), Vector512.Load(totals + 48)).Store(totals + 48);
    }
}
