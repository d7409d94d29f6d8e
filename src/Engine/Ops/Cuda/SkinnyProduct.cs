using static TorchSharp.torch;

namespace LocalLlm.Ops.Cuda;

/// <summary>Products of few rows on tensor cores, reading each matrix once (<c>skinny.cu</c>).</summary>
internal sealed class SkinnyProduct(CudaDevice device, KernelCompiler kernels, CudaWorkspace workspace)
{
    /// <summary>The source of its kernel.</summary>
    public const string Source = "tensor_core.cu product.cu skinny.cu";

    private const int PackBytes = 16;

    /// <summary>Whether the kernel supports a product: a 16-bit type, few rows, and matrix rows of a multiple of 16 bytes.</summary>
    public static bool Takes(ScalarType type, long rows, int inputs, bool fp8) =>
        type != ScalarType.Float32 && rows is > 0 and <= SkinnyTiling.MaxRows && inputs % (fp8 ? PackBytes : PackBytes / 2) == 0;

    /// <summary>Allocates the buffers that blocks share in any product by one matrix: no step has to.</summary>
    public void Reserve()
    {
        workspace.Reserve(WorkspaceSlot.Partials, SkinnyTiling.MaxPartials(device.Multiprocessors), ScalarType.Float32);
        workspace.Reserve(WorkspaceSlot.Counters, SkinnyTiling.MaxSplitOutputs(device.Multiprocessors), ScalarType.Int32);
    }

    /// <summary>Whether all 8-bit floats that a warp reads at once have one scale, and 16-byte accesses divide the rows.</summary>
    public static bool TakesGrid(Fp8Grid grid, int inputs)
    {
        var chunk = SkinnyTiling.ChunkOf(fp8: true);
        return inputs % PackBytes == 0 && grid.BlockColumns % chunk == 0 && grid.ColumnOffset % chunk == 0;
    }

    /// <summary>y = x · Wᵀ + bias by a matrix of 8-bit floats.</summary>
    /// <param name="x">[rows, in], contiguous.</param>
    /// <param name="weight">The matrix; its blocks begin at multiples of the number of inputs that a warp reads at once.</param>
    /// <param name="scaleRows">[out] int32: the row of blocks of each output.</param>
    /// <param name="y">[rows, out], contiguous.</param>
    /// <param name="cut">The tiling; null: the best for the shape.</param>
    public void Multiply(Tensor x, Fp8Weight weight, Tensor scaleRows, Tensor y, SkinnyTiling? cut = null)
    {
        var (rows, outputs, inputs) = ((int)x.size(0), weight.OutFeatures, weight.InFeatures);
        var tiling = cut ?? SkinnyTiling.Of(rows, outputs, inputs, 1, fp8: true, device.Multiprocessors);
        using var partials = tiling.Splits > 1 ? workspace.Rent(WorkspaceSlot.Partials, (long)tiling.Splits * rows, outputs, ScalarType.Float32) : null;
        using var counters = tiling.Splits > 1 ? workspace.Rent(WorkspaceSlot.Counters, outputs, 1, ScalarType.Int32) : null;
        kernels.Get(Source, "skinny", tiling.Defines(x.dtype, fp8: true, gated: false, add: false, TokenPermutation.None)).Launch(
            ((outputs + tiling.Owned(false) - 1) / tiling.Owned(false), 1, tiling.Splits),
            tiling.Threads,
            [
                weight.Data, weight.Scales, scaleRows, (int)weight.Scales.size(1), weight.Grid.BlockColumns, weight.Grid.ColumnOffset, weight.Bias, x, y,
                rows, outputs, inputs, inputs, outputs, 0ul, 0, 0, 0ul, 0ul, 0ul, 1, partials, counters,
            ]);
    }

    /// <summary>A product for each head: y[:, h] = x[:, h] · W[h]ᵀ.</summary>
    /// <param name="x">[rows, heads · the stride of a head]; the first inputs of each head are read.</param>
    /// <param name="xHead">Distance from one head to the next, in elements.</param>
    /// <param name="weights">[heads, out, in], contiguous, of x's type.</param>
    /// <param name="y">[rows, heads · out].</param>
    /// <param name="cut">The tiling; null: the best for the shape.</param>
    public void MultiplyHeads(Tensor x, int xHead, Tensor weights, Tensor y, SkinnyTiling? cut = null)
    {
        var (rows, heads, outputs, inputs) = ((int)x.size(0), (int)weights.size(0), (int)weights.size(1), (int)weights.size(2));
        var tiling = cut ?? SkinnyTiling.Of(rows, outputs, inputs, heads, fp8: false, device.Multiprocessors);
        kernels.Get(Source, "skinny", tiling.Defines(x.dtype, fp8: false, gated: false, add: false, TokenPermutation.None)).Launch(
            ((outputs + tiling.Owned(false) - 1) / tiling.Owned(false), heads, 1),
            tiling.Threads,
            [
                weights, 0ul, 0ul, 0, 1, 0, 0ul, x, y, rows, outputs, inputs, (int)x.size(1), (int)y.size(1), (long)outputs * inputs, xHead, outputs,
                0ul, 0ul, 0ul, 1, 0ul, 0ul,
            ]);
    }

    /// <summary>The products of all experts of a step, each by its own rows.</summary>
    /// <param name="x">[rows, in].</param>
    /// <param name="table">The experts' matrices.</param>
    /// <param name="y">[assignments, out]; half as many outputs where gate and up are combined.</param>
    /// <param name="rows">The rows of each expert.</param>
    /// <param name="direction">From tokens to experts, with silu(gate) · up; or back.</param>
    /// <param name="cut">The tiling; null: the best for the shape.</param>
    public void MultiplyExperts(Tensor x, ExpertTable table, Tensor y, ExpertRows rows, TokenPermutation direction, SkinnyTiling? cut = null)
    {
        var fp8 = table.Grid is not null;
        var gated = direction == TokenPermutation.ToExperts;
        var tiling = cut ?? SkinnyTiling.Of(Math.Clamp(2 * rows.Assignments / rows.Products, 1, SkinnyTiling.MaxRows), table.OutFeatures, table.InFeatures, rows.Products, fp8, device.Multiprocessors);
        var results = gated ? table.OutFeatures / 2 : table.OutFeatures;
        kernels.Get(Source, "skinny", tiling.Defines(x.dtype, fp8, gated, add: false, direction)).Launch(
            ((results + tiling.Owned(gated) - 1) / tiling.Owned(gated), rows.Products, 1),
            tiling.Threads,
            [
                table.Data, table.Scales, table.ScaleRows, table.ScaleColumns, table.Grid?.BlockColumns ?? 1, table.Grid?.ColumnOffset ?? 0, 0ul, x, y,
                rows.Assignments, table.OutFeatures, table.InFeatures, (int)x.size(1), (int)y.size(1), 0ul, 0, 0, rows.Active, rows.Starts, rows.Order,
                rows.PerToken, 0ul, 0ul,
            ]);
    }
}
