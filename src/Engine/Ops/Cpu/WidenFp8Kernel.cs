using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace LocalLlm.Ops.Cpu;

/// <summary>
/// Widens adjacent panels of 8-bit floats to the bfloat16 nearest to element times scale, transposed, for a product of many rows by a library.
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

    /// <summary>Items are columns of blocks.</summary>
    public readonly void Run(long begin, long end)
    {
        var scales = stackalloc float[Fp8Panels.Width];
        for (var column = (int)begin; column < end; column++)
        {
            for (var panel = 0; panel < PanelCount; panel++)
            {
                Fp8Panels.LoadScales(Scales, Segments.Count, column, ScaleRows, OutFeatures, FirstPanel + panel, Fp8Panels.HalfBias, scales);
                var groups = Segments.PaddedWidth / Fp8Segments.GroupWidth;
                var source = Panels + ((((FirstPanel + panel) * (long)groups) + (Segments.PaddedStart(column) / Fp8Segments.GroupWidth)) * Fp8Panels.Width);
                Widen(source, scales, Segments.Length(column), Tile + ((long)Segments.Start(column) * Stride) + (panel * Fp8Panels.Width));
            }
        }
    }

    private readonly int Stride => PanelCount * Fp8Panels.Width;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private readonly void Widen(uint* source, float* scales, int length, ushort* target)
    {
        var mask = Fp8Panels.Mask;
        var bias = Vector512.Create(Fp8Panels.HalfBias);
        var stride = Stride;
        for (var vector = 0; vector < Fp8Panels.Width; vector += 16)
        {
            var scale = Vector512.Load(scales + vector);
            for (var k = 0; k < length; k++)
            {
                var lanes = Vector512.Load(source + ((k / Fp8Segments.GroupWidth * Fp8Panels.Width) + vector));
                var values = Fp8Panels.Widen(lanes, 24 - (8 * (k % Fp8Segments.GroupWidth)), mask) * bias * scale;
                BFloat16Element.Store(values, target + ((long)k * stride) + vector);
            }
        }
    }
}
