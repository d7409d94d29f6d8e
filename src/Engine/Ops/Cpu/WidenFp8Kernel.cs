using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace LocalLlm.Ops.Cpu;

/// <summary>
/// Widens adjacent panels of 8-bit floats to bfloat16, transposed: each value is the one nearest to element times scale. A library then
/// multiplies many rows by the result.
/// </summary>
internal unsafe struct WidenFp8Kernel : IRangeKernel
{
    /// <summary>The panels of the whole matrix.</summary>
    public uint* Panels;

    /// <summary>[rows of blocks, columns of blocks].</summary>
    public float* Scales;

    /// <summary>The row of blocks of every output: [out].</summary>
    public int* ScaleRows;

    /// <summary>[in, panels · 64].</summary>
    public ushort* Tile;

    public Fp8Segments Segments;
    public int OutFeatures;
    public int FirstPanel;
    public int PanelCount;

    /// <summary>Items are pairs of a column of blocks and a panel.</summary>
    public readonly void Run(long begin, long end)
    {
        var scales = stackalloc float[Fp8Panels.Width];
        var stride = PanelCount * Fp8Panels.Width;
        long groups = Segments.PaddedWidth / Fp8Segments.GroupWidth; // of a panel
        for (var item = begin; item < end; item++)
        {
            var (column, panel) = ((int)(item / PanelCount), (int)(item % PanelCount));
            Fp8Panels.LoadColumnScales(Scales, Segments.Count, column, ScaleRows, OutFeatures, FirstPanel + panel, Fp8Panels.HalfBias, scales);
            var group = ((FirstPanel + panel) * groups) + (Segments.PaddedStart(column) / Fp8Segments.GroupWidth);
            var target = Tile + ((long)Segments.Start(column) * stride) + (panel * Fp8Panels.Width);
            Widen(Panels + (group * Fp8Panels.Width), scales, Segments.Length(column), target, stride);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Widen(uint* source, float* scales, int length, ushort* target, int stride)
    {
        var mask = Fp8Panels.Mask;
        // Multiply by 2^60 twice: a single factor of 2^120 times a scale might overflow.
        var bias = Vector512.Create(Fp8Panels.HalfBias);
        var (s0, s1, s2, s3) = (Vector512.Load(scales), Vector512.Load(scales + 16), Vector512.Load(scales + 32), Vector512.Load(scales + 48));
        for (; length > 0; length -= Fp8Segments.GroupWidth, source += Fp8Panels.Width)
        {
            var (w0, w1, w2, w3) = (Vector512.Load(source), Vector512.Load(source + 16), Vector512.Load(source + 32), Vector512.Load(source + 48));
            Store(w0, w1, w2, w3, 24, mask, bias, s0, s1, s2, s3, target);
            target += stride;
            if (length == 1)
                break;
            Store(w0, w1, w2, w3, 16, mask, bias, s0, s1, s2, s3, target);
            target += stride;
            if (length == 2)
                break;
            Store(w0, w1, w2, w3, 8, mask, bias, s0, s1, s2, s3, target);
            target += stride;
            if (length == 3)
                break;
            Store(w0, w1, w2, w3, 0, mask, bias, s0, s1, s2, s3, target);
            target += stride;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store(
        Vector512<uint> w0, Vector512<uint> w1, Vector512<uint> w2, Vector512<uint> w3, int shift, Vector512<uint> mask, Vector512<float> bias,
        Vector512<float> s0, Vector512<float> s1, Vector512<float> s2, Vector512<float> s3, ushort* target)
    {
        BFloat16Element.Store(Fp8Panels.Widen(w0, shift, mask) * bias * s0, target);
        BFloat16Element.Store(Fp8Panels.Widen(w1, shift, mask) * bias * s1, target + 16);
        BFloat16Element.Store(Fp8Panels.Widen(w2, shift, mask) * bias * s2, target + 32);
        BFloat16Element.Store(Fp8Panels.Widen(w3, shift, mask) * bias * s3, target + 48);
    }
}
