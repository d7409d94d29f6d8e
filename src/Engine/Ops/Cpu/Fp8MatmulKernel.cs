using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace LocalLlm.Ops.Cpu;

/// <summary>
/// x · Wᵀ + bias by 8-bit floats in the layout of <see cref="Fp8Panels"/>, widened in registers. The lanes are outputs; an output adds the
/// products of a column of blocks in the order of the inputs, and the sums of the columns, each times its scale, in theirs. So a row's result
/// does not depend on the other rows: the same bits alone and in any batch.
/// </summary>
internal unsafe struct Fp8MatmulKernel<T, TElement> : IRangeKernel
    where T : unmanaged
    where TElement : struct, IElement<T>
{
    private const int RowsAtOnce = 4;

    // Far enough ahead that a line has arrived from memory when it is needed.
    private const int PrefetchAhead = 1024;

    /// <summary>[rows, padded in], of <see cref="PrepareFp8InputKernel{T, TElement}"/>.</summary>
    public float* Input;

    /// <summary>The panels.</summary>
    public uint* Panels;

    /// <summary>[rows of blocks, columns of blocks].</summary>
    public float* Scales;

    /// <summary>The row of blocks of every output: [out].</summary>
    public int* ScaleRows;

    /// <summary>[out] or null.</summary>
    public T* Bias;

    /// <summary>[rows, out].</summary>
    public T* Output;

    public Fp8Segments Segments;
    public int Rows;
    public int OutFeatures;

    /// <summary>Items are panels.</summary>
    public readonly void Run(long begin, long end)
    {
        var totals = stackalloc float[RowsAtOnce * Fp8Panels.Width];
        var (width, columns) = (Segments.PaddedWidth, Segments.Count);
        using var scales = new PanelScales(columns);
        for (var panel = begin; panel < end; panel++)
        {
            var weights = Panels + (panel * (width / Fp8Segments.GroupWidth) * Fp8Panels.Width);
            for (var column = 0; column < columns; column++)
            {
                Fp8Panels.LoadScales(
                    Scales, columns, column, ScaleRows, OutFeatures, panel, Fp8Panels.HalfBias, scales.Pointer + (column * Fp8Panels.Width));
            }

            for (var row = 0; row < Rows;)
            {
                var rows = Math.Min(RowsAtOnce, Rows - row);
                new Span<float>(totals, RowsAtOnce * Fp8Panels.Width).Clear();
                for (var column = 0; column < columns; column++)
                {
                    var start = Segments.PaddedStart(column);
                    var x = Input + ((long)row * width) + start;
                    var columnScales = scales.Pointer + (column * Fp8Panels.Width);
                    var panelWeights = weights + ((long)start / Fp8Segments.GroupWidth * Fp8Panels.Width);
                    if (rows == 1)
                        OneRow(x, panelWeights, Segments.Groups(column), columnScales, totals);
                    else
                        FourRows(x, width, rows, panelWeights, Segments.Groups(column), columnScales, totals);
                }

                Store(totals, rows, row, panel);
                row += rows;
            }
        }
    }

    private readonly void Store(float* totals, int rows, int firstRow, long panel)
    {
        var first = panel * Fp8Panels.Width;
        var count = (int)Math.Min(Fp8Panels.Width, OutFeatures - first);
        for (var row = 0; row < rows; row++)
        {
            var source = totals + (row * Fp8Panels.Width);
            var target = Output + ((long)(firstRow + row) * OutFeatures) + first;
            for (var i = 0; i < count; i++)
                target[i] = TElement.FromSingle(Bias == null ? source[i] : source[i] + TElement.ToSingle(Bias[first + i]));
        }
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
            if (Sse.IsSupported)
            {
                Sse.Prefetch0(weights + PrefetchAhead);
                Sse.Prefetch0(weights + PrefetchAhead + 16);
                Sse.Prefetch0(weights + PrefetchAhead + 32);
                Sse.Prefetch0(weights + PrefetchAhead + 48);
            }

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
    private static void FourRows(float* x, int stride, int rows, uint* weights, int groups, float* scales, float* totals)
    {
        var mask = Fp8Panels.Mask;
        // The last of two or three rows is computed more than once.
        var x1 = x + stride;
        var x2 = rows > 2 ? x1 + stride : x1;
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
            if (Sse.IsSupported)
            {
                Sse.Prefetch0(weights + PrefetchAhead);
                Sse.Prefetch0(weights + PrefetchAhead + 16);
                Sse.Prefetch0(weights + PrefetchAhead + 32);
                Sse.Prefetch0(weights + PrefetchAhead + 48);
            }

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

    // The scales of one panel, [columns of blocks, 64]: of any number of columns, so not on the stack.
    private readonly ref struct PanelScales(int columns)
    {
        public float* Pointer { get; } = (float*)NativeMemory.AlignedAlloc((nuint)columns * Fp8Panels.Width * sizeof(float), 64);

        public void Dispose() => NativeMemory.AlignedFree(Pointer);
    }
}

/// <summary>Inputs as float32 in the padded layout of <see cref="Fp8Segments"/>, times <see cref="Fp8Panels.HalfBias"/>.</summary>
internal unsafe struct PrepareFp8InputKernel<T, TElement> : IRangeKernel
    where T : unmanaged
    where TElement : struct, IElement<T>
{
    /// <summary>[rows, in].</summary>
    public T* Source;

    /// <summary>[rows, padded in].</summary>
    public float* Target;

    public Fp8Segments Segments;

    /// <summary>Items are rows.</summary>
    public readonly void Run(long begin, long end)
    {
        for (var row = begin; row < end; row++)
        {
            var target = Target + (row * Segments.PaddedWidth);
            for (var segment = 0; segment < Segments.Count; segment++)
            {
                var source = Source + (row * Segments.InFeatures) + Segments.Start(segment);
                var length = Segments.Length(segment);
                var i = 0;
                for (; i + 16 <= length; i += 16)
                    (TElement.Load(source + i) * Fp8Panels.HalfBias).Store(target + i);
                for (; i < length; i++)
                    target[i] = TElement.ToSingle(source[i]) * Fp8Panels.HalfBias;
                for (; i % Fp8Segments.GroupWidth != 0; i++)
                    target[i] = 0;
                target += i;
            }
        }
    }
}
