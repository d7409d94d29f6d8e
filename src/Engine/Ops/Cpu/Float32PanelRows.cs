using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace LocalLlm.Ops.Cpu;

/// <summary>
/// Multiplies rows by one panel of 32 outputs in float32, [in, 32]. The lanes are outputs. Every output adds its products in the order of
/// the inputs, so a row's result does not depend on the other rows.
/// </summary>
internal static unsafe class Float32PanelRows
{
    /// <summary>Max number of rows of one product.</summary>
    public const int MaxRows = 8;

    private const int PanelWidth = PanelMatmulKernel.PanelWidth;

    /// <summary>Multiplies 1 to 8 rows.</summary>
    /// <param name="x">The first row.</param>
    /// <param name="stride">Elements from one row to the next.</param>
    /// <param name="rows">Number of rows.</param>
    /// <param name="inFeatures">Elements of a row.</param>
    /// <param name="weights">The panel.</param>
    /// <param name="tile">[8, 32]; the rest after the rows is overwritten.</param>
    public static void Multiply(float* x, long stride, int rows, int inFeatures, float* weights, float* tile)
    {
        // One row is bound by the latency of its sums. Four rows cost hardly more than one, and eight less than twice four.
        if (rows > 4)
            EightRows(x, stride, rows - 1, inFeatures, weights, tile);
        else if (rows > 1)
            FourRows(x, stride, rows - 1, inFeatures, weights, tile);
        else
            OneRow(x, inFeatures, weights, tile);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void OneRow(float* x, int inFeatures, float* weights, float* tile)
    {
        var a = Vector512<float>.Zero;
        var b = a;
        for (var k = 0; k < inFeatures; k++)
        {
            var value = Vector512.Create(x[k]);
            a = Vector512.FusedMultiplyAdd(value, Vector512.Load(weights + (k * PanelWidth)), a);
            b = Vector512.FusedMultiplyAdd(value, Vector512.Load(weights + (k * PanelWidth) + 16), b);
        }

        a.Store(tile);
        b.Store(tile + 16);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void FourRows(float* x, long stride, int last, int inFeatures, float* weights, float* tile)
    {
        // Rows past the last one repeat it.
        var x1 = x + stride;
        var x2 = x + (Math.Min(2, last) * stride);
        var x3 = x + (Math.Min(3, last) * stride);
        var a0 = Vector512<float>.Zero;
        var b0 = a0;
        var a1 = a0;
        var b1 = a0;
        var a2 = a0;
        var b2 = a0;
        var a3 = a0;
        var b3 = a0;
        for (var k = 0; k < inFeatures; k++)
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
    private static void EightRows(float* x, long stride, int last, int inFeatures, float* weights, float* tile)
    {
        var x1 = x + stride;
        var x2 = x1 + stride;
        var x3 = x2 + stride;
        var x4 = x3 + stride;
        var x5 = x + (Math.Min(5, last) * stride);
        var x6 = x + (Math.Min(6, last) * stride);
        var x7 = x + (Math.Min(7, last) * stride);
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
        for (var k = 0; k < inFeatures; k++)
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
