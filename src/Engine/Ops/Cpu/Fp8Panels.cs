using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace LocalLlm.Ops.Cpu;

/// <summary>
/// The layout of 8-bit floats for the CPU's kernels: panels of 64 outputs, [⌈out / 64⌉, groups of four inputs, 64, 4] bytes, padded with
/// zeros. A 32-bit lane holds four adjacent inputs of one output. Three operations widen one byte of each lane to a vector of sixteen
/// float32s: shift the byte to the top, shift it down by four with its sign, mask it. The bits of e4m3 are then where a float32 has its
/// sign, the low bits of its exponent and its mantissa. That is the value times 2^-120, subnormals included.
/// </summary>
internal static unsafe class Fp8Panels
{
    /// <summary>Outputs per panel: four vectors.</summary>
    public const int Width = 64;

    /// <summary>
    /// The factor on inputs and on scales. Both together undo 2^-120, and no intermediate value is subnormal.
    /// </summary>
    public const float HalfBias = 1.152921504606846976e18f; // 2^60

    /// <summary>Number of panels for this many outputs.</summary>
    public static int Count(int outFeatures) => (outFeatures + Width - 1) / Width;

    /// <summary>The bits of <see cref="Widen"/>'s result that come from the byte.</summary>
    public static Vector512<uint> Mask
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => Vector512.Create(0x87F00000u);
    }

    /// <summary>One byte of each lane, times 2^-120.</summary>
    /// <param name="lanes">16 outputs, four inputs each.</param>
    /// <param name="shift">24, 16, 8 or 0 for the first to the last of the four inputs.</param>
    /// <param name="mask"><see cref="Mask"/>.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Widen(Vector512<uint> lanes, int shift, Vector512<uint> mask) =>
        (Vector512.ShiftRightArithmetic((lanes << shift).AsInt32(), 4).AsUInt32() & mask).AsSingle();

    /// <summary>The scales of a panel's outputs in all columns of blocks.</summary>
    /// <param name="scales">[rows of blocks, columns of blocks].</param>
    /// <param name="columns">Number of columns of blocks.</param>
    /// <param name="rows">The row of blocks of every output.</param>
    /// <param name="outFeatures">Outputs of the matrix.</param>
    /// <param name="panel">The panel.</param>
    /// <param name="factor">Factor on the scales.</param>
    /// <param name="target">[columns, 64]; 0 past the last output.</param>
    public static void LoadScales(float* scales, int columns, int* rows, int outFeatures, long panel, float factor, float* target)
    {
        var first = (int)(panel * Width);
        var isOneRow = first + Width <= outFeatures && !new ReadOnlySpan<int>(rows + first, Width).ContainsAnyExcept(rows[first]);
        for (var column = 0; column < columns; column++, target += Width)
        {
            if (isOneRow)
                new Span<float>(target, Width).Fill(scales[((long)rows[first] * columns) + column] * factor);
            else
                LoadColumnScales(scales, columns, column, rows, outFeatures, panel, factor, target);
        }
    }

    /// <summary>The scales of a panel's outputs in one column of blocks.</summary>
    /// <param name="scales">[rows of blocks, columns of blocks].</param>
    /// <param name="columns">Number of columns of blocks.</param>
    /// <param name="column">The column of blocks.</param>
    /// <param name="rows">The row of blocks of every output.</param>
    /// <param name="outFeatures">Outputs of the matrix.</param>
    /// <param name="panel">The panel.</param>
    /// <param name="factor">Factor on the scales.</param>
    /// <param name="target">[64]; 0 past the last output.</param>
    public static void LoadColumnScales(float* scales, int columns, int column, int* rows, int outFeatures, long panel, float factor, float* target)
    {
        var first = (int)(panel * Width);
        var count = Math.Min(Width, outFeatures - first);
        for (var lane = 0; lane < count; lane++)
            target[lane] = scales[((long)rows[first + lane] * columns) + column] * factor;
        for (var lane = count; lane < Width; lane++)
            target[lane] = 0;
    }
}

/// <summary>Brings bytes [out, in] into the layout of <see cref="Fp8Panels"/>.</summary>
internal unsafe struct PackFp8Kernel : IRangeKernel
{
    /// <summary>[out, in].</summary>
    public byte* Weight;

    /// <summary>[⌈out / 64⌉, padded in / 4, 64, 4].</summary>
    public uint* Panels;

    public Fp8Segments Segments;
    public int OutFeatures;

    /// <summary>Items are panels.</summary>
    public readonly void Run(long begin, long end)
    {
        var groups = Segments.PaddedWidth / Fp8Segments.GroupWidth;
        for (var panel = begin; panel < end; panel++)
        {
            for (var lane = 0; lane < Fp8Panels.Width; lane++)
            {
                var row = (panel * Fp8Panels.Width) + lane;
                var target = Panels + (panel * groups * Fp8Panels.Width) + lane;
                for (var segment = 0; segment < Segments.Count; segment++)
                {
                    var source = Weight + (row * Segments.InFeatures) + Segments.Start(segment);
                    var length = Segments.Length(segment);
                    for (var column = 0; column < length; column += Fp8Segments.GroupWidth, target += Fp8Panels.Width)
                        *target = row < OutFeatures ? Group(source + column, length - column) : 0;
                }
            }
        }
    }

    private static uint Group(byte* source, int count)
    {
        if (count >= Fp8Segments.GroupWidth)
            return Unsafe.ReadUnaligned<uint>(source);
        uint group = 0;
        for (var i = 0; i < count; i++)
            group |= (uint)source[i] << (8 * i);
        return group;
    }
}
