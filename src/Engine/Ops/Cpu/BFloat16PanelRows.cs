using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace LocalLlm.Ops.Cpu;

/// <summary>
/// Few rows times one panel of 64 bfloat16 outputs, [pairs of inputs, 64, 2], in float32. An output adds its products in the order of the
/// inputs, whatever the other rows are.
/// </summary>
internal static unsafe class BFloat16PanelRows
{
    /// <summary>Max number of rows of one product.</summary>
    public const int MaxRows = 4;

    private const int PanelWidth = MatvecKernel.PanelWidth;

    // Prefetch distance: far enough for a line to arrive from memory before it is needed.
    private const int PrefetchAhead = 1024;

    /// <summary>Multiplies 1 to 4 rows.</summary>
    /// <param name="x">The first row, padded to whole pairs by zeros.</param>
    /// <param name="stride">Elements from one row to the next.</param>
    /// <param name="rows">Number of rows.</param>
    /// <param name="pairs">Number of pairs of inputs.</param>
    /// <param name="weights">The panel.</param>
    /// <param name="totals">[4, 64]; the rest after the rows may be overwritten.</param>
    public static void Multiply(float* x, long stride, int rows, int pairs, uint* weights, float* totals)
    {
        if (rows == 1)
            OneRow(x, pairs, weights, totals);
        else if (rows == 2)
            TwoRows(x, stride, pairs, weights, totals);
        else
            FourRows(x, stride, rows, pairs, weights, totals);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void OneRow(float* x, int pairs, uint* weights, float* totals)
    {
        var upper = Vector512.Create(0xFFFF0000u);
        Vector512<float> a0 = default, a1 = default, a2 = default, a3 = default;
        for (var pair = 0; pair < pairs; pair++, weights += PanelWidth, x += 2)
        {
            Prefetch(weights);
            var w0 = Vector512.Load(weights);
            var w1 = Vector512.Load(weights + 16);
            var w2 = Vector512.Load(weights + 32);
            var w3 = Vector512.Load(weights + 48);
            MultiplyAdd(x[0], (w0 << 16).AsSingle(), (w1 << 16).AsSingle(), (w2 << 16).AsSingle(), (w3 << 16).AsSingle(), ref a0, ref a1, ref a2, ref a3);
            MultiplyAdd(
                x[1], (w0 & upper).AsSingle(), (w1 & upper).AsSingle(), (w2 & upper).AsSingle(), (w3 & upper).AsSingle(), ref a0, ref a1, ref a2, ref a3);
        }

        Store(totals, a0, a1, a2, a3);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void TwoRows(float* x, long stride, int pairs, uint* weights, float* totals)
    {
        var upper = Vector512.Create(0xFFFF0000u);
        var y = x + stride;
        Vector512<float> a0 = default, a1 = default, a2 = default, a3 = default, b0 = default, b1 = default, b2 = default, b3 = default;
        for (var pair = 0; pair < pairs; pair++, weights += PanelWidth, x += 2, y += 2)
        {
            Prefetch(weights);
            var (w0, w1, w2, w3) = Even(weights);
            MultiplyAdd(x[0], w0, w1, w2, w3, ref a0, ref a1, ref a2, ref a3);
            MultiplyAdd(y[0], w0, w1, w2, w3, ref b0, ref b1, ref b2, ref b3);
            (w0, w1, w2, w3) = Odd(weights, upper);
            MultiplyAdd(x[1], w0, w1, w2, w3, ref a0, ref a1, ref a2, ref a3);
            MultiplyAdd(y[1], w0, w1, w2, w3, ref b0, ref b1, ref b2, ref b3);
        }

        Store(totals, a0, a1, a2, a3);
        Store(totals + PanelWidth, b0, b1, b2, b3);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void FourRows(float* x, long stride, int rows, int pairs, uint* weights, float* totals)
    {
        var upper = Vector512.Create(0xFFFF0000u);
        // With three rows, the last one is computed twice.
        var y = x + stride;
        var z = y + stride;
        var u = rows > 3 ? z + stride : z;
        Vector512<float> a0 = default, a1 = default, a2 = default, a3 = default, b0 = default, b1 = default, b2 = default, b3 = default;
        Vector512<float> c0 = default, c1 = default, c2 = default, c3 = default, d0 = default, d1 = default, d2 = default, d3 = default;
        for (var input = 0; input < 2 * pairs; input += 2, weights += PanelWidth)
        {
            Prefetch(weights);
            var (w0, w1, w2, w3) = Even(weights);
            MultiplyAdd(x[input], w0, w1, w2, w3, ref a0, ref a1, ref a2, ref a3);
            MultiplyAdd(y[input], w0, w1, w2, w3, ref b0, ref b1, ref b2, ref b3);
            MultiplyAdd(z[input], w0, w1, w2, w3, ref c0, ref c1, ref c2, ref c3);
            MultiplyAdd(u[input], w0, w1, w2, w3, ref d0, ref d1, ref d2, ref d3);
            (w0, w1, w2, w3) = Odd(weights, upper);
            MultiplyAdd(x[input + 1], w0, w1, w2, w3, ref a0, ref a1, ref a2, ref a3);
            MultiplyAdd(y[input + 1], w0, w1, w2, w3, ref b0, ref b1, ref b2, ref b3);
            MultiplyAdd(z[input + 1], w0, w1, w2, w3, ref c0, ref c1, ref c2, ref c3);
            MultiplyAdd(u[input + 1], w0, w1, w2, w3, ref d0, ref d1, ref d2, ref d3);
        }

        Store(totals, a0, a1, a2, a3);
        Store(totals + PanelWidth, b0, b1, b2, b3);
        Store(totals + (2 * PanelWidth), c0, c1, c2, c3);
        Store(totals + (3 * PanelWidth), d0, d1, d2, d3);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static (Vector512<float> W0, Vector512<float> W1, Vector512<float> W2, Vector512<float> W3) Even(uint* weights) =>
        ((Vector512.Load(weights) << 16).AsSingle(), (Vector512.Load(weights + 16) << 16).AsSingle(),
            (Vector512.Load(weights + 32) << 16).AsSingle(), (Vector512.Load(weights + 48) << 16).AsSingle());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static (Vector512<float> W0, Vector512<float> W1, Vector512<float> W2, Vector512<float> W3) Odd(uint* weights, Vector512<uint> upper) =>
        ((Vector512.Load(weights) & upper).AsSingle(), (Vector512.Load(weights + 16) & upper).AsSingle(),
            (Vector512.Load(weights + 32) & upper).AsSingle(), (Vector512.Load(weights + 48) & upper).AsSingle());

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
    private static void Store(float* totals, Vector512<float> a0, Vector512<float> a1, Vector512<float> a2, Vector512<float> a3)
    {
        a0.Store(totals);
        a1.Store(totals + 16);
        a2.Store(totals + 32);
        a3.Store(totals + 48);
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
}
