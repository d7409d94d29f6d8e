using System.Runtime.Intrinsics;

namespace LocalLlm.Ops.Cpu;

/// <summary>What a layer's experts have in common in one of their matrices (gate and up, or down).</summary>
internal unsafe struct PanelShape
{
    public int InFeatures;
    public int OutFeatures;

    /// <summary>Elements of a row as <see cref="IPanelProduct.Prepare"/> writes it.</summary>
    public int InputWidth;

    /// <summary>For 8-bit floats: the columns of blocks.</summary>
    public Fp8Segments Segments;

    /// <summary>For 8-bit floats: the row of blocks of every output, [out].</summary>
    public int* ScaleRows;
}

/// <summary>One matrix of one expert.</summary>
internal unsafe struct ExpertPanels
{
    public void* Panels;

    /// <summary>For 8-bit floats: [rows of blocks, columns of blocks].</summary>
    public float* Scales;
}

/// <summary>
/// How few rows are multiplied by a panel of outputs of one stored type. With a struct argument, the JIT specialises the kernels. A row's
/// result has the same bits whatever the other rows are.
/// </summary>
internal unsafe interface IPanelProduct
{
    /// <summary>Outputs of a panel.</summary>
    static abstract int Width { get; }

    /// <summary>Floats of scratch memory that <see cref="Multiply"/> needs.</summary>
    static abstract long ScratchOf(in PanelShape shape);

    /// <summary>Writes adjacent elements of a row as products need them, and the padding after the row's last element.</summary>
    /// <param name="shape">Shape of the matrix.</param>
    /// <param name="source">The elements.</param>
    /// <param name="first">Index of the first element in the row.</param>
    /// <param name="count">Number of elements.</param>
    /// <param name="row">[input width].</param>
    static abstract void Prepare<T, TElement>(in PanelShape shape, T* source, int first, int count, float* row)
        where T : unmanaged
        where TElement : struct, IElement<T>;

    /// <summary>Multiplies rows by one panel.</summary>
    /// <param name="shape">Shape of the matrix.</param>
    /// <param name="matrix">The matrix.</param>
    /// <param name="panel">Index of the panel.</param>
    /// <param name="x">[rows, input width].</param>
    /// <param name="rows">Number of rows.</param>
    /// <param name="scratch">See <see cref="ScratchOf"/>.</param>
    /// <param name="totals">[rows rounded up to 8, width].</param>
    static abstract void Multiply(in PanelShape shape, in ExpertPanels matrix, long panel, float* x, int rows, float* scratch, float* totals);
}

/// <summary>float32 in panels of 32 outputs.</summary>
internal readonly unsafe struct Float32Product : IPanelProduct
{
    public static int Width => PanelMatmulKernel.PanelWidth;

    public static long ScratchOf(in PanelShape shape) => 0;

    public static void Prepare<T, TElement>(in PanelShape shape, T* source, int first, int count, float* row)
        where T : unmanaged
        where TElement : struct, IElement<T> => PreparedRows.Widen<T, TElement>(source, count, row + first);

    public static void Multiply(in PanelShape shape, in ExpertPanels matrix, long panel, float* x, int rows, float* scratch, float* totals)
    {
        var weights = (float*)matrix.Panels + (panel * shape.InFeatures * Width);
        for (var row = 0; row < rows; row += Float32PanelRows.MaxRows)
        {
            var count = Math.Min(Float32PanelRows.MaxRows, rows - row);
            Float32PanelRows.Multiply(x + ((long)row * shape.InputWidth), shape.InputWidth, count, shape.InFeatures, weights, totals + (row * Width));
        }
    }
}

/// <summary>bfloat16 in panels of 64 outputs and pairs of inputs (<see cref="PairPanels"/>).</summary>
internal readonly unsafe struct BFloat16Product : IPanelProduct
{
    public static int Width => MatvecKernel.PanelWidth;

    public static long ScratchOf(in PanelShape shape) => 0;

    public static void Prepare<T, TElement>(in PanelShape shape, T* source, int first, int count, float* row)
        where T : unmanaged
        where TElement : struct, IElement<T>
    {
        PreparedRows.Widen<T, TElement>(source, count, row + first);
        if (first + count == shape.InFeatures)
            new Span<float>(row + shape.InFeatures, shape.InputWidth - shape.InFeatures).Clear();
    }

    public static void Multiply(in PanelShape shape, in ExpertPanels matrix, long panel, float* x, int rows, float* scratch, float* totals)
    {
        var pairs = shape.InputWidth / 2;
        var weights = (uint*)matrix.Panels + (panel * pairs * Width);
        for (var row = 0; row < rows; row += BFloat16PanelRows.MaxRows)
        {
            var count = Math.Min(BFloat16PanelRows.MaxRows, rows - row);
            BFloat16PanelRows.Multiply(x + ((long)row * shape.InputWidth), shape.InputWidth, count, pairs, weights, totals + (row * Width));
        }
    }
}

/// <summary>8-bit floats with scales in the layout of <see cref="Fp8Panels"/>.</summary>
internal readonly unsafe struct Fp8Product : IPanelProduct
{
    public static int Width => Fp8Panels.Width;

    public static long ScratchOf(in PanelShape shape) => (long)shape.Segments.Count * Fp8Panels.Width;

    public static void Prepare<T, TElement>(in PanelShape shape, T* source, int first, int count, float* row)
        where T : unmanaged
        where TElement : struct, IElement<T> => Fp8PanelRows.Prepare<T, TElement>(source, first, count, shape.Segments, row);

    public static void Multiply(in PanelShape shape, in ExpertPanels matrix, long panel, float* x, int rows, float* scratch, float* totals)
    {
        var weights = (uint*)matrix.Panels + (panel * (shape.InputWidth / Fp8Segments.GroupWidth) * Fp8Panels.Width);
        Fp8Panels.LoadScales(matrix.Scales, shape.Segments.Count, shape.ScaleRows, shape.OutFeatures, panel, Fp8Panels.HalfBias, scratch);
        for (var row = 0; row < rows; row += Fp8PanelRows.MaxRows)
        {
            var count = Math.Min(Fp8PanelRows.MaxRows, rows - row);
            Fp8PanelRows.Multiply(x + ((long)row * shape.InputWidth), count, shape.Segments, weights, scratch, totals + (row * Width));
        }
    }
}

/// <summary>Rows as products read them.</summary>
internal static unsafe class PreparedRows
{
    /// <summary>Adjacent elements as float32.</summary>
    public static void Widen<T, TElement>(T* source, int count, float* target)
        where T : unmanaged
        where TElement : struct, IElement<T>
    {
        var i = 0;
        for (; i + 16 <= count; i += 16)
            TElement.Load(source + i).Store(target + i);
        for (; i < count; i++)
            target[i] = TElement.ToSingle(source[i]);
    }
}
