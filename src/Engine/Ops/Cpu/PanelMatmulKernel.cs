using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace LocalLlm.Ops.Cpu;

/// <summary>
/// float32 x · Wᵀ + bias over weights stored in panels of 32 outputs: [ceil(out / 32), in, 32]. The lanes are outputs and every
/// output adds its products in the order of the input elements, so a row's result does not depend on the other rows:
/// the same bits alone and in any batch, which library GEMMs do not give.
/// </summary>
internal unsafe struct PanelMatmulKernel : IRangeKernel
{
    /// <summary>Outputs per panel: two vectors.</summary>
    public const int PanelWidth = 32;

    /// <summary>[rows, in].</summary>
    public float* Input;

    /// <summary>[ceil(out / 32), in, 32], zero past the last output.</summary>
    public float* Panels;

    /// <summary>[out] or null.</summary>
    public float* Bias;

    /// <summary>[rows, out].</summary>
    public float* Output;

    public int Rows;
    public int InFeatures;
    public int OutFeatures;

    /// <summary>Items are panels.</summary>
    public readonly void Run(long begin, long end)
    {
        var tile = stackalloc float[8 * PanelWidth];
        for (var panel = begin; panel < end; panel++)
        {
            var weights = Panels + (panel * InFeatures * PanelWidth);
            for (var row = 0; row < Rows; row += 8)
            {
                // One row is bound by the latency of its sums: four cost hardly more, and eight less than twice that.
                var input = Input + ((long)row * InFeatures);
                var count = Math.Min(Rows - row, 8);
                if (count > 4)
                    EightRows(input, count - 1, weights, tile);
                else if (count > 1)
                    FourRows(input, count - 1, weights, tile);
                else
                    OneRow(input, weights, tile);
                Store(tile, count, row, panel);
            }
        }
    }

    private readonly void Store(float* tile, int rows, int firstRow, long panel)
    {
        var column = panel * PanelWidth;
        var width = (int)Math.Min(PanelWidth, OutFeatures - column);
        for (var row = 0; row < rows; row++)
        {
            var source = tile + (row * PanelWidth);
            var target = Output + ((long)(firstRow + row) * OutFeatures) + column;
            for (var i = 0; i < width; i++)
                target[i] = Bias == null ? source[i] : source[i] + Bias[column + i];
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private readonly void OneRow(float* x, float* weights, float* tile)
    {
        var a = Vector512<float>.Zero;
        var b = a;
        for (var k = 0; k < InFeatures; k++)
        {
            var value = Vector512.Create(x[k]);
            a = Vector512.FusedMultiplyAdd(value, Vector512.Load(weights + (k * PanelWidth)), a);
            b = Vector512.FusedMultiplyAdd(value, Vector512.Load(weights + (k * PanelWidth) + 16), b);
        }

        a.Store(tile);
        b.Store(tile + 16);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private readonly void FourRows(float* x, int last, float* weights, float* tile)
    {
        // Rows past the last one repeat it.
        var x1 = x + InFeatures;
        var x2 = x + ((long)Math.Min(2, last) * InFeatures);
        var x3 = x + ((long)Math.Min(3, last) * InFeatures);
        var a0 = Vector512<float>.Zero;
        var b0 = a0;
        var a1 = a0;
        var b1 = a0;
        var a2 = a0;
        var b2 = a0;
        var a3 = a0;
        var b3 = a0;
        for (var k = 0; k < InFeatures; k++)
        {
            var wa = Vector512.Load(weights + (k * PanelWidth));
            var wb = Vector512.Load(weights + (k * PanelWidth) + 16);
            MultiplyAdd(x[k], wa, wb, ref a0, ref b0);
            MultiplyAdd(x1[k], wa, wb, ref a1, ref b1);
            MultiplyAdd(x2[k], wa, wb, ref a2, ref b2);
            MultiplyAdd(x3[k], wa, wb, ref a3, ref b3);
        }

        StorePair(tile, 0, a0, b0);
        StorePair(tile, 1, a1, b1);
        StorePair(tile, 2, a2, b2);
        StorePair(tile, 3, a3, b3);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private readonly void EightRows(float* x, int last, float* weights, float* tile)
    {
        var x1 = x + InFeatures;
        var x2 = x1 + InFeatures;
        var x3 = x2 + InFeatures;
        var x4 = x3 + InFeatures;
        var x5 = x + ((long)Math.Min(5, last) * InFeatures);
        var x6 = x + ((long)Math.Min(6, last) * InFeatures);
        var x7 = x + ((long)Math.Min(7, last) * InFeatures);
        var a0 = Vector512<float>.Zero;
        var b0 = a0;
        var a1 = a0;
        var b1 = a0;
        var a2 = a0;
        var b2 = a0;
        var a3 = a0;
        var b3 = a0;
        var a4 = a0;
        var b4 = a0;
        var a5 = a0;
        var b5 = a0;
        var a6 = a0;
        var b6 = a0;
        var a7 = a0;
        var b7 = a0;
        for (var k = 0; k < InFeatures; k++)
        {
            var wa = Vector512.Load(weights + (k * PanelWidth));
            var wb = Vector512.Load(weights + (k * PanelWidth) + 16);
            MultiplyAdd(x[k], wa, wb, ref a0, ref b0);
            MultiplyAdd(x1[k], wa, wb, ref a1, ref b1);
            MultiplyAdd(x2[k], wa, wb, ref a2, ref b2);
            MultiplyAdd(x3[k], wa, wb, ref a3, ref b3);
            MultiplyAdd(x4[k], wa, wb, ref a4, ref b4);
            MultiplyAdd(x5[k], wa, wb, ref a5, ref b5);
            MultiplyAdd(x6[k], wa, wb, ref a6, ref b6);
            MultiplyAdd(x7[k], wa, wb, ref a7, ref b7);
        }

        StorePair(tile, 0, a0, b0);
        StorePair(tile, 1, a1, b1);
        StorePair(tile, 2, a2, b2);
        StorePair(tile, 3, a3, b3);
        StorePair(tile, 4, a4, b4);
        StorePair(tile, 5, a5, b5);
        StorePair(tile, 6, a6, b6);
        StorePair(tile, 7, a7, b7);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void MultiplyAdd(float x, Vector512<float> wa, Vector512<float> wb, ref Vector512<float> a, ref Vector512<float> b)
    {
        var value = Vector512.Create(x);
        a = Vector512.FusedMultiplyAdd(value, wa, a);
        b = Vector512.FusedMultiplyAdd(value, wb, b);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void StorePair(float* tile, int row, Vector512<float> a, Vector512<float> b)
    {
        a.Store(tile + (row * PanelWidth));
        b.Store(tile + (row * PanelWidth) + 16);
    }
}
