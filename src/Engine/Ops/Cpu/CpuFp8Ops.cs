using LocalLlm.Interop;
using static TorchSharp.torch;

namespace LocalLlm.Ops.Cpu;

/// <summary>
/// Products by 8-bit floats on the CPU. For few rows, and for float32, a kernel widens the matrix in registers. For many rows of bfloat16,
/// if oneDNN multiplies bfloat16 fast, tiles that fit the cache are widened for it one after the other.
/// </summary>
/// <param name="multipliesBFloat16">Whether a library's bfloat16 products are faster here than float32 ones.</param>
internal sealed unsafe class CpuFp8Ops(bool multipliesBFloat16) : IFp8Ops, IDisposable
{
    // Fewer multiply-adds than this take less time than waking a second thread.
    private const long MinWorkPerThread = 500_000;

    // From this number of rows on, widening a tile costs less than it saves.
    private const int MinTileRows = 80;

    // Number of rows that are widened to float32 at once.
    private const int MaxInputRows = 256;

    // Size of a tile in bfloat16 that the cores' own caches hold beside the inputs.
    private const int TileBytes = 2 << 20;

    private readonly NativeBuffer<float> _input = new();
    private Tensor? _tile;

    /// <inheritdoc/>
    public Fp8Weight Pack(Tensor bytes, Tensor scales, Fp8Grid grid, Tensor? bias, LinearRole role)
    {
        var (outFeatures, inFeatures) = ((int)bytes.size(0), (int)bytes.size(1));
        var segments = new Fp8Segments(inFeatures, grid.BlockColumns, grid.ColumnOffset);
        var panels = Fp8Panels.Count(outFeatures);
        var packed = empty([panels, segments.PaddedWidth, Fp8Panels.Width], ScalarType.Byte).DetachFromDisposeScope();
        var kernel = new PackFp8Kernel
        {
            Weight = (byte*)bytes.DataPointer(), Panels = (uint*)packed.DataPointer(), Segments = segments, OutFeatures = outFeatures,
        };
        CpuParallel.For(kernel, panels, grain: 1);
        // Padded to whole panels, since a tile includes all of its last panel.
        var ownBias = bias is null ? null : nn.functional.pad(bias, [0, (panels * Fp8Panels.Width) - outFeatures]).DetachFromDisposeScope();
        return new(packed, scales.clone().DetachFromDisposeScope(), grid, ownBias, inFeatures) { Role = role };
    }

    /// <inheritdoc/>
    public Tensor Linear(Tensor x, Fp8Weight weight)
    {
        if (x.dtype == ScalarType.Float32)
            return Multiply<float, Float32Element>(x, weight);
        return multipliesBFloat16 && x.size(0) >= MinTileRows ? MultiplyTiles(x, weight) : Multiply<ushort, BFloat16Element>(x, weight);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _input.Dispose();
        _tile?.Dispose();
    }

    private static Fp8Segments SegmentsOf(Fp8Weight weight) => new(weight.InFeatures, weight.Grid.BlockColumns, weight.Grid.ColumnOffset);

    private Tensor Multiply<T, TElement>(Tensor x, Fp8Weight weight)
        where T : unmanaged
        where TElement : struct, IElement<T>
    {
        var (rows, segments) = ((int)x.size(0), SegmentsOf(weight));
        var output = empty([rows, weight.OutFeatures], x.dtype);
        _input.Resize(Math.Min(rows, MaxInputRows) * segments.PaddedWidth);
        fixed (int* scaleRows = weight.Grid.ScaleRows)
        {
            for (var first = 0; first < rows; first += MaxInputRows)
            {
                var count = Math.Min(MaxInputRows, rows - first);
                var prepare = new PrepareFp8InputKernel<T, TElement>
                {
                    Source = (T*)x.DataPointer() + ((long)first * weight.InFeatures), Target = _input.Pointer, Segments = segments,
                };
                CpuParallel.For(prepare, count, Grain(segments.PaddedWidth));
                var kernel = new Fp8MatmulKernel<T, TElement>
                {
                    Input = _input.Pointer,
                    Panels = (uint*)weight.Data.DataPointer(),
                    Scales = (float*)weight.Scales.DataPointer(),
                    ScaleRows = scaleRows,
                    Bias = weight.Bias is null ? null : (T*)weight.Bias.DataPointer(),
                    Output = (T*)output.DataPointer() + ((long)first * weight.OutFeatures),
                    Segments = segments,
                    Rows = count,
                    OutFeatures = weight.OutFeatures,
                };
                CpuParallel.For(kernel, Fp8Panels.Count(weight.OutFeatures), Grain((long)count * segments.PaddedWidth * Fp8Panels.Width));
            }
        }

        return output;
    }

    private Tensor MultiplyTiles(Tensor x, Fp8Weight weight)
    {
        var segments = SegmentsOf(weight);
        var output = empty([x.size(0), weight.OutFeatures], ScalarType.BFloat16);
        var panels = Fp8Panels.Count(weight.OutFeatures);
        var atOnce = Math.Clamp(TileBytes / (2 * Fp8Panels.Width * weight.InFeatures), 1, panels);
        for (var panel = 0; panel < panels; panel += atOnce)
        {
            using var scope = NewDisposeScope();
            var count = Math.Min(atOnce, panels - panel);
            var tile = Widen(weight, segments, panel, count);
            var (column, width) = (panel * Fp8Panels.Width, Math.Min(count * Fp8Panels.Width, weight.OutFeatures - (panel * Fp8Panels.Width)));
            var product = weight.Bias is null ? x.mm(tile) : addmm(weight.Bias.narrow(0, column, count * Fp8Panels.Width), x, tile, 1, 1);
            output.narrow(1, column, width).copy_(product.narrow(1, 0, width));
        }

        return output;
    }

    private Tensor Widen(Fp8Weight weight, Fp8Segments segments, int panel, int count)
    {
        var tile = TileOf(weight.InFeatures, count * Fp8Panels.Width);
        fixed (int* scaleRows = weight.Grid.ScaleRows)
        {
            var kernel = new WidenFp8Kernel
            {
                Panels = (uint*)weight.Data.DataPointer(),
                Scales = (float*)weight.Scales.DataPointer(),
                ScaleRows = scaleRows,
                Tile = (ushort*)tile.DataPointer(),
                Segments = segments,
                OutFeatures = weight.OutFeatures,
                FirstPanel = panel,
                PanelCount = count,
            };
            // One column of blocks may contain all inputs.
            CpuParallel.For(kernel, (long)segments.Count * count, grain: 1);
        }

        return tile;
    }

    // All tiles share one buffer: the system would have to clear newly allocated memory for every tile.
    private Tensor TileOf(long height, long width)
    {
        if (_tile is null || _tile.numel() < height * width)
        {
            _tile?.Dispose();
            _tile = empty([height * width], ScalarType.BFloat16).DetachFromDisposeScope();
        }

        return _tile.narrow(0, 0, height * width).view(height, width);
    }

    private static long Grain(long workPerItem) => Math.Max(1, MinWorkPerThread / Math.Max(1, workPerItem));
}
