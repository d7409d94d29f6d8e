using System.Runtime.InteropServices;

namespace LocalLlm.Ops.Cpu;

/// <summary>
/// x · Wᵀ + bias by 8-bit floats in the layout of <see cref="Fp8Panels"/>, widened in registers. The lanes are outputs. An output adds the
/// products within a column of blocks in the order of the inputs, then the sums of the columns, each times its scale, in the order of the
/// columns. So a row's result does not depend on the other rows: it has the same bits alone and in any batch.
/// </summary>
internal unsafe struct Fp8MatmulKernel<T, TElement> : IRangeKernel
    where T : unmanaged
    where TElement : struct, IElement<T>
{
    private const int RowsAtOnce = Fp8PanelRows.MaxRows;

    /// <summary>[rows, padded in], written by <see cref="PrepareFp8InputKernel{T, TElement}"/>.</summary>
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
            Fp8Panels.LoadScales(Scales, columns, ScaleRows, OutFeatures, panel, Fp8Panels.HalfBias, scales.Pointer);
            for (var row = 0; row < Rows;)
            {
                var rows = Math.Min(RowsAtOnce, Rows - row);
                Fp8PanelRows.Multiply(Input + ((long)row * width), rows, Segments, weights, scales.Pointer, totals);
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

    // The scales of one panel, [columns of blocks, 64]. Not on the stack, since there may be any number of columns.
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
            Fp8PanelRows.Prepare<T, TElement>(
                Source + (row * Segments.InFeatures), 0, Segments.InFeatures, Segments, Target + (row * Segments.PaddedWidth));
        }
    }
}
