using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace LocalLlm.Ops.Cpu;

/// <summary>An expert with few rows in a step.</summary>
internal struct ActiveExpert
{
    public ExpertPanels GateUp;
    public ExpertPanels Down;

    /// <summary>The expert's first row among those of all experts with few rows.</summary>
    public int FirstRow;

    /// <summary>Number of rows, at most <see cref="ExpertTiles.MaxRows"/>.</summary>
    public int Rows;

    /// <summary>The expert's first row among the results.</summary>
    public int FirstResult;
}

/// <summary>Constants of the kernels for experts.</summary>
internal static class ExpertTiles
{
    /// <summary>Max number of rows of an expert with few rows.</summary>
    public const int MaxRows = 16;
}

/// <summary>Gathers the rows that experts process, in the order of the experts.</summary>
internal unsafe struct GatherExpertRowsKernel<T, TElement, TProduct> : IRangeKernel
    where T : unmanaged
    where TElement : struct, IElement<T>
    where TProduct : struct, IPanelProduct
{
    /// <summary>[tokens, hidden].</summary>
    public T* Source;

    /// <summary>[rows] the token of each row.</summary>
    public int* Tokens;

    /// <summary>[rows, input width].</summary>
    public float* Target;

    public PanelShape Shape;

    /// <summary>Items are rows.</summary>
    public readonly void Run(long begin, long end)
    {
        for (var row = begin; row < end; row++)
        {
            TProduct.Prepare<T, TElement>(
                Shape, Source + ((long)Tokens[row] * Shape.InFeatures), 0, Shape.InFeatures, Target + (row * Shape.InputWidth));
        }
    }
}

/// <summary>silu(gate(x)) · up(x) of all experts with few rows. Threads take tiles in turn; a tile has outputs of one expert.</summary>
internal unsafe struct ExpertGateUpKernel<TProduct> : IRangeKernel
    where TProduct : struct, IPanelProduct
{
    public ActiveExpert* Experts;

    /// <summary>[rows, input width of gate and up].</summary>
    public float* Input;

    /// <summary>[rows, input width of down].</summary>
    public float* Output;

    public PanelShape GateUp;
    public PanelShape Down;

    /// <summary>Next tile to take. Threads share it to balance experts with more and fewer rows.</summary>
    public int* NextItem;

    public int ItemCount;

    private static int Panel => TProduct.Width;

    private readonly int Width => Down.InFeatures;

    /// <summary>Number of tiles of an expert.</summary>
    public static int TilesOf(int width) => (width + Panel - 1) / Panel;

    /// <summary>The range is one index per thread; the work itself comes from <see cref="NextItem"/>.</summary>
    public readonly void Run(long begin, long end)
    {
        var totals = (long)ExpertTiles.MaxRows * Panel;
        var memory = (float*)NativeMemory.AlignedAlloc((nuint)((3 * totals) + TProduct.ScratchOf(GateUp)) * sizeof(float), 64);
        try
        {
            var tiles = TilesOf(Width);
            for (var item = Take(); item < ItemCount; item = Take())
                RunItem(Experts[item / tiles], item % tiles, memory, memory + totals, memory + (2 * totals), memory + (3 * totals));
        }
        finally
        {
            NativeMemory.AlignedFree(memory);
        }
    }

    private readonly int Take() => Interlocked.Increment(ref *NextItem) - 1;

    private readonly void RunItem(in ActiveExpert expert, int tile, float* gate, float* up, float* next, float* scratch)
    {
        var x = Input + ((long)expert.FirstRow * GateUp.InputWidth);
        var first = tile * Panel;
        var count = Math.Min(Panel, Width - first);
        TProduct.Multiply(GateUp, expert.GateUp, tile, x, expert.Rows, scratch, gate);
        // The outputs of up follow those of gate, so a tile of up may span two panels.
        var (panel, lane) = ((Width + first) / Panel, (Width + first) % Panel);
        TProduct.Multiply(GateUp, expert.GateUp, panel, x, expert.Rows, scratch, up);
        if (lane > 0)
        {
            if (lane + count > Panel)
                TProduct.Multiply(GateUp, expert.GateUp, panel + 1, x, expert.Rows, scratch, next);
            Join(expert.Rows, lane, count, up, next);
        }

        for (var row = 0; row < expert.Rows; row++)
        {
            var values = gate + (row * Panel);
            Activate(values, up + (row * Panel), count);
            TProduct.Prepare<float, Float32Element>(
                Down, values, first, count, Output + ((long)(expert.FirstRow + row) * Down.InputWidth));
        }
    }

    // Joins the outputs from a lane on with those in the next panel, at the front.
    private static void Join(int rows, int lane, int count, float* up, float* next)
    {
        for (var row = 0; row < rows; row++, up += Panel, next += Panel)
        {
            var own = Math.Min(count, Panel - lane);
            new ReadOnlySpan<float>(up + lane, own).CopyTo(new Span<float>(up, own));
            new ReadOnlySpan<float>(next, count - own).CopyTo(new Span<float>(up + own, count - own));
        }
    }

    // The same bits as SiluAndMulKernel: panels begin where its vectors begin.
    private static void Activate(float* gate, float* up, int count)
    {
        var i = 0;
        for (; i + Vector512<float>.Count <= count; i += Vector512<float>.Count)
        {
            var x = Vector512.Load(gate + i);
            (x / (Vector512<float>.One + VectorExp.Exp(-x)) * Vector512.Load(up + i)).Store(gate + i);
        }

        for (; i < count; i++)
            gate[i] = gate[i] / (1 + MathF.Exp(-gate[i])) * up[i];
    }
}

/// <summary>down of all experts with few rows. Threads take tiles in turn; a tile has outputs of one expert.</summary>
internal unsafe struct ExpertDownKernel<TProduct> : IRangeKernel
    where TProduct : struct, IPanelProduct
{
    public ActiveExpert* Experts;

    /// <summary>[rows, input width].</summary>
    public float* Input;

    /// <summary>[results, hidden].</summary>
    public float* Results;

    public PanelShape Down;

    /// <summary>Next tile to take.</summary>
    public int* NextItem;

    public int ItemCount;

    private static int Panel => TProduct.Width;

    /// <summary>The range is one index per thread; the work itself comes from <see cref="NextItem"/>.</summary>
    public readonly void Run(long begin, long end)
    {
        var floats = ((long)ExpertTiles.MaxRows * Panel) + TProduct.ScratchOf(Down);
        var memory = (float*)NativeMemory.AlignedAlloc((nuint)floats * sizeof(float), 64);
        try
        {
            var tiles = ExpertGateUpKernel<TProduct>.TilesOf(Down.OutFeatures);
            for (var item = Take(); item < ItemCount; item = Take())
                RunItem(Experts[item / tiles], item % tiles, memory, memory + (ExpertTiles.MaxRows * Panel));
        }
        finally
        {
            NativeMemory.AlignedFree(memory);
        }
    }

    private readonly int Take() => Interlocked.Increment(ref *NextItem) - 1;

    private readonly void RunItem(in ActiveExpert expert, int tile, float* totals, float* scratch)
    {
        TProduct.Multiply(Down, expert.Down, tile, Input + ((long)expert.FirstRow * Down.InputWidth), expert.Rows, scratch, totals);
        var first = tile * Panel;
        var count = Math.Min(Panel, Down.OutFeatures - first);
        for (var row = 0; row < expert.Rows; row++)
        {
            var target = Results + ((long)(expert.FirstResult + row) * Down.OutFeatures) + first;
            new ReadOnlySpan<float>(totals + (row * Panel), count).CopyTo(new Span<float>(target, count));
        }
    }
}

/// <summary>The weighted sum of each token's results, in the order of the experts.</summary>
internal unsafe struct SumExpertsKernel : IRangeKernel
{
    /// <summary>[results, hidden].</summary>
    public float* Results;

    /// <summary>[tokens, experts per token] the token's results in the order of the experts; -1 after the last one.</summary>
    public int* Rows;

    /// <summary>[tokens, experts per token] the weights of <see cref="Rows"/>.</summary>
    public float* Weights;

    /// <summary>[tokens, hidden].</summary>
    public float* Output;

    public int PerToken;
    public int Hidden;

    /// <summary>Items are tokens.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public readonly void Run(long begin, long end)
    {
        for (var token = begin; token < end; token++)
        {
            var target = Output + (token * Hidden);
            new Span<float>(target, Hidden).Clear();
            for (var place = token * PerToken; place < (token + 1) * PerToken && Rows[place] >= 0; place++)
                Add(Results + ((long)Rows[place] * Hidden), Weights[place], target);
        }
    }

    // Rounds after the product and again after the sum, as plain tensor operations do.
    private readonly void Add(float* result, float weight, float* target)
    {
        var d = 0;
        for (; d + Vector512<float>.Count <= Hidden; d += Vector512<float>.Count)
            (Vector512.Load(target + d) + (Vector512.Load(result + d) * weight)).Store(target + d);
        for (; d < Hidden; d++)
            target[d] += result[d] * weight;
    }
}
