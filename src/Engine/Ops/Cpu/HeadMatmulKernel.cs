using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace LocalLlm.Ops.Cpu;

/// <summary>
/// float32 x · Wᵀ with a matrix for each head, stored in panels of 32 outputs: [heads, ceil(out / 32), in, 32]. As in
/// <see cref="PanelMatmulKernel"/>, every output adds its products in the order of the inputs, whatever the other rows are.
/// </summary>
internal unsafe struct HeadMatmulKernel<T, TElement> : IRangeKernel
    where T : unmanaged
    where TElement : struct, IElement<T>
{
    /// <summary>Outputs per panel: two vectors.</summary>
    public const int PanelWidth = 32;

    /// <summary>[rows, heads, in], with the strides below.</summary>
    public float* Input;
    public long InputRowStride;
    public long InputHeadStride;

    /// <summary>Zero past the last output.</summary>
    public T* Panels;

    /// <summary>[rows, heads, out].</summary>
    public float* Output;

    public int Rows;
    public int Heads;
    public int InFeatures;
    public int OutFeatures;

    /// <summary>Items are panels of all heads.</summary>
    public readonly void Run(long begin, long end)
    {
        var perHead = (OutFeatures + PanelWidth - 1) / PanelWidth;
        var tile = stackalloc float[4 * PanelWidth];
        for (var item = begin; item < end; item++)
        {
            var (head, panel) = (item / perHead, item % perHead);
            var weights = Panels + (item * InFeatures * PanelWidth);
            var input = Input + (head * InputHeadStride);
            var row = 0;
            for (; row + 4 <= Rows; row += 4)
            {
                FourRows(input + (row * InputRowStride), weights, tile);
                Store(tile, 4, row, head, panel);
            }

            for (; row < Rows; row++)
            {
                OneRow(input + (row * InputRowStride), weights, tile);
                Store(tile, 1, row, head, panel);
            }
        }
    }

    private readonly void Store(float* tile, int rows, int firstRow, long head, long panel)
    {
        var column = panel * PanelWidth;
        var width = (int)Math.Min(PanelWidth, OutFeatures - column);
        for (var row = 0; row < rows; row++)
        {
            var target = Output + ((((long)(firstRow + row) * Heads) + head) * OutFeatures) + column;
            new ReadOnlySpan<float>(tile + (row * PanelWidth), width).CopyTo(new Span<float>(target, width));
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private readonly void OneRow(float* x, T* weights, float* tile)
    {
        var a = Vector512<float>.Zero;
        var b = a;
        for (var k = 0; k < InFeatures; k++, weights += PanelWidth)
        {
            var value = Vector512.Create(x[k]);
            a = Vector512.FusedMultiplyAdd(value, TElement.Load(weights), a);
            b = Vector512.FusedMultiplyAdd(value, TElement.Load(weights + 16), b);
        }

        a.Store(tile);
        b.Store(tile + 16);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private readonly void FourRows(float* x, T* weights, float* tile)
    {
        var x1 = x + InputRowStride;
        var x2 = x1 + InputRowStride;
        var x3 = x2 + InputRowStride;
        Vector512<float> a0 = default, b0 = default, a1 = default, b1 = default, a2 = default, b2 = default, a3 = default, b3 = default;
        for (var k = 0; k < InFeatures; k++, weights += PanelWidth)
        {
            var (wa, wb) = (TElement.Load(weights), TElement.Load(weights + 16));
            var (v0, v1, v2, v3) = (Vector512.Create(x[k]), Vector512.Create(x1[k]), Vector512.Create(x2[k]), Vector512.Create(x3[k]));
            a0 = Vector512.FusedMultiplyAdd(v0, wa, a0);
            b0 = Vector512.FusedMultiplyAdd(v0, wb, b0);
            a1 = Vector512.FusedMultiplyAdd(v1, wa, a1);
            b1 = Vector512.FusedMultiplyAdd(v1, wb, b1);
            a2 = Vector512.FusedMultiplyAdd(v2, wa, a2);
            b2 = Vector512.FusedMultiplyAdd(v2, wb, b2);
            a3 = Vector512.FusedMultiplyAdd(v3, wa, a3);
            b3 = Vector512.FusedMultiplyAdd(v3, wb, b3);
        }

        a0.Store(tile);
        b0.Store(tile + 16);
        a1.Store(tile + 32);
        b1.Store(tile + 48);
        a2.Store(tile + 64);
        b2.Store(tile + 80);
        a3.Store(tile + 96);
        b3.Store(tile + 112);
    }
}
