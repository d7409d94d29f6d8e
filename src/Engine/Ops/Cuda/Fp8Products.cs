using static TorchSharp.torch;

namespace LocalLlm.Ops.Cuda;

/// <summary>
/// Products in which both sides are 8-bit floats, on Hopper: activations become ones with a scale for each row and 128 inputs (DeepSeek-V3,
/// arXiv 2412.19437, 3.3.2), and tensor cores multiply twice as fast as in 16 bits.
/// </summary>
/// <param name="device">The card.</param>
/// <param name="kernels">Its kernels.</param>
/// <param name="workspace">Room for what is quantised.</param>
/// <param name="isOff">Whether activations stay as they are on every card.</param>
internal sealed class Fp8Products(CudaDevice device, KernelCompiler kernels, CudaWorkspace workspace, bool isOff)
{
    /// <summary>
    /// The environment variable that, set to 1, keeps activations in 16 bits, as on cards that do not multiply 8-bit floats: to compare the two.
    /// </summary>
    public const string WeightsOnlyVariable = "LOCALLLM_FP8_WEIGHTS_ONLY";

    private const string QuantiseSource = "quantise.cu";
    private const int QuantiseThreads = 256;
    private const int QuantisedByBlock = 8 * Fp8Tiling.Chunk;
    private const int PackBytes = 16;

    /// <summary>Whether it can multiply: a 16-bit type on Hopper, and blocks of scales that begin where a chunk of inputs does.</summary>
    public bool Takes(ScalarType type, Fp8Grid grid, int inputs) =>
        !isOff && device.ComputeCapability == CudaDevice.Hopper && type != ScalarType.Float32 && inputs % PackBytes == 0
        && grid.BlockColumns % Fp8Tiling.Chunk == 0 && grid.ColumnOffset % Fp8Tiling.Chunk == 0;

    /// <summary>Rows as 8-bit floats; valid until others are quantised.</summary>
    /// <param name="x">[rows, in] of a 16-bit type; rows may be strided.</param>
    public QuantisedRows Quantise(Tensor x)
    {
        var (rows, inputs) = ((int)x.size(0), (int)x.size(1));
        var blocks = (inputs + Fp8Tiling.Chunk - 1) / Fp8Tiling.Chunk;
        var values = workspace.Rent(WorkspaceSlot.Quantised, rows, inputs, ScalarType.Byte);
        var scales = workspace.Rent(WorkspaceSlot.QuantisedScales, blocks, rows, ScalarType.Float32);
        kernels.Get(QuantiseSource, "quantise", KernelCompiler.TypeMacro(x.dtype)).Launch(
            (rows, (inputs + QuantisedByBlock - 1) / QuantisedByBlock, 1), QuantiseThreads, [x, (int)x.stride(0), values, scales, rows, inputs]);
        return new(values, scales);
    }

    /// <summary>y = x · Wᵀ + bias.</summary>
    /// <param name="x">[rows, in].</param>
    /// <param name="weight">The matrix.</param>
    /// <param name="scaleRows">[out] int32: the row of blocks of each output.</param>
    /// <param name="y">[rows, out], contiguous.</param>
    /// <param name="cut">How it is cut; null: as is best for the shape.</param>
    public void Multiply(QuantisedRows x, Fp8Weight weight, Tensor scaleRows, Tensor y, Fp8Tiling? cut = null)
    {
        var (rows, outputs, inputs) = (x.Rows, weight.OutFeatures, weight.InFeatures);
        var tiling = cut ?? Fp8Tiling.Of(rows, outputs, inputs, 1, device.Multiprocessors);
        var (blocks, tiles) = (tiling.Blocks(outputs), (rows + tiling.Rows - 1) / tiling.Rows);
        using var partials = tiling.Splits > 1 ? workspace.Rent(WorkspaceSlot.Partials, (long)tiling.Splits * rows, outputs, ScalarType.Float32) : null;
        using var counters = tiling.Splits > 1 ? workspace.Rent(WorkspaceSlot.Counters, (long)outputs * tiles, 1, ScalarType.Int32) : null;
        kernels.Get(Fp8Tiling.Source, "fp8Products", tiling.Defines(y.dtype, gated: false, add: false, SkinnyRows.Batches)).Launch(
            (blocks, tiles, tiling.Splits),
            tiling.Threads,
            [
                weight.Data, weight.Scales, scaleRows, (int)weight.Scales.size(1), weight.Grid.BlockColumns, weight.Grid.ColumnOffset, weight.Bias,
                x.Values, x.Scales, rows, y, rows, outputs, inputs, outputs, 0ul, 0ul, 0ul, 1, partials, counters,
            ],
            tiling.SharedBytes);
    }

    /// <summary>The products of all experts of a step, each by its own rows.</summary>
    /// <param name="x">[rows, in].</param>
    /// <param name="table">The experts' matrices, of 8-bit floats.</param>
    /// <param name="y">[assignments, out], or half of the outputs where gate and up become one.</param>
    /// <param name="rows">The rows of each expert.</param>
    /// <param name="direction">From tokens to experts, with silu(gate) · up; or back.</param>
    /// <param name="cut">How it is cut; null: as is best for the shape.</param>
    public void MultiplyExperts(QuantisedRows x, ExpertTable table, Tensor y, ExpertRows rows, SkinnyRows direction, Fp8Tiling? cut = null)
    {
        var gated = direction == SkinnyRows.TokensToExperts;
        var tiling = cut ?? Fp8Tiling.Of(rows.TileRows, table.OutFeatures, table.InFeatures, rows.Products, device.Multiprocessors);
        kernels.Get(Fp8Tiling.Source, "fp8Products", tiling.Defines(y.dtype, gated, add: false, direction)).Launch(
            (tiling.Blocks(table.OutFeatures), rows.Products, 1),
            tiling.Threads,
            [
                table.Data, table.Scales, table.ScaleRows, table.ScaleColumns, table.Grid!.BlockColumns, table.Grid.ColumnOffset, 0ul, x.Values, x.Scales,
                x.Rows, y, rows.Assignments, table.OutFeatures, table.InFeatures, (int)y.size(1), rows.Active, rows.Starts, rows.Order, rows.PerToken,
                0ul, 0ul,
            ],
            tiling.SharedBytes);
    }
}

/// <summary>Rows of 8-bit floats with their scales.</summary>
/// <param name="Values">[rows, in] bytes.</param>
/// <param name="Scales">[⌈in / 128⌉, rows] float32.</param>
internal readonly record struct QuantisedRows(Tensor Values, Tensor Scales) : IDisposable
{
    /// <summary>How many.</summary>
    public int Rows => (int)Values.size(0);

    /// <inheritdoc/>
    public void Dispose()
    {
        Values.Dispose();
        Scales.Dispose();
    }
}
