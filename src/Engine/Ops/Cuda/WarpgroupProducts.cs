using System.Globalization;
using static TorchSharp.torch;

namespace LocalLlm.Ops.Cuda;

/// <summary>
/// Products on Hopper's warpgroups (<c>warpgroup_products.cu</c>). If the matrix has 8-bit floats, activations are quantised to them too,
/// with a scale for each row and 128 inputs (arXiv 2412.19437, 3.3.2): tensor cores multiply 8 bits twice as fast as 16.
/// </summary>
/// <param name="device">The card.</param>
/// <param name="kernels">The card's kernels.</param>
/// <param name="workspace">Buffers for quantised rows.</param>
/// <param name="isOff">Whether activations are never quantised, on any card.</param>
internal sealed class WarpgroupProducts(CudaDevice device, KernelCompiler kernels, CudaWorkspace workspace, bool isOff)
{
    /// <summary>
    /// The environment variable that, set to 1, keeps activations in 16 bits, as on cards that do not multiply 8-bit floats. For comparing
    /// both ways.
    /// </summary>
    public const string WeightsOnlyVariable = "LOCALLLM_FP8_WEIGHTS_ONLY";

    private const string Function = "products";
    private const string QuantiseSource = "quantise.cu";
    private const int QuantiseThreads = 256;
    private const int QuantisedByBlock = 8 * WarpgroupTiling.ChunkBytes;
    private const int PackBytes = 16;
    private const int WarpSize = 32;
    private const int MaxNormWarps = 32;
    private const int MaxEvictingTokens = 4; // more tokens keep the memory busy most of the time
    private const int ElementsOfRead = 4;
    private const int MaxNormInputs = 8 * MaxNormWarps * WarpgroupTiling.ChunkBytes; // a block keeps a row in registers

    /// <summary>Whether it can multiply by a matrix of 8-bit floats: its blocks must begin where a chunk of inputs begins.</summary>
    public bool Takes(ScalarType type, Fp8Grid grid, int inputs) =>
        Quantises(type) && inputs % PackBytes == 0 && grid.BlockColumns % WarpgroupTiling.ChunkBytes == 0 && grid.ColumnOffset % WarpgroupTiling.ChunkBytes == 0;

    /// <summary>Whether rows of a type are quantised to 8-bit floats.</summary>
    public bool Quantises(ScalarType type) => !isOff && IsFor(type);

    /// <summary>Whether it can multiply by a matrix of the activation type.</summary>
    public bool Takes(ScalarType type, int inputs) => IsFor(type) && inputs % (PackBytes / 2) == 0;

    /// <summary>Allocates room for this many quantised rows.</summary>
    public void MakeRoom(int rows, int inputs)
    {
        workspace.Reserve(WorkspaceSlot.Quantised, (long)rows * inputs, ScalarType.Byte);
        workspace.Reserve(WorkspaceSlot.QuantisedScales, (long)Blocks(inputs) * rows, ScalarType.Float32);
    }

    /// <summary>Quantises rows to 8-bit floats; valid until other rows are quantised.</summary>
    /// <param name="x">[rows, in] of a 16-bit type; rows may be strided.</param>
    /// <param name="padded">Number of rows of the result; those after x's rows are undefined.</param>
    public QuantisedRows Quantise(Tensor x, int padded = 0)
    {
        var (rows, inputs) = (Math.Max(padded, (int)x.size(0)), (int)x.size(1));
        var (values, scales) = Room(rows, inputs);
        kernels.Get(QuantiseSource, "quantise", KernelCompiler.TypeMacro(x.dtype)).Launch(
            ((int)x.size(0), (inputs + QuantisedByBlock - 1) / QuantisedByBlock, 1), QuantiseThreads, [x, (int)x.stride(0), values, scales, rows, inputs]);
        return new(values, scales);
    }

    /// <summary>Whether rows like these can be normalised and quantised in one pass, in which a block keeps a row in registers.</summary>
    public static bool CanQuantiseNormed(Tensor x) => x.size(1) <= MaxNormInputs && x.stride(0) % ElementsOfRead == 0;

    /// <summary>Normalises and quantises rows in one pass.</summary>
    /// <param name="x">[rows, in] of a 16-bit type; rows may be strided.</param>
    /// <param name="weight">[in], of the norm.</param>
    /// <param name="epsilon">Added to the mean square.</param>
    /// <param name="normed">[rows, in], contiguous: receives the normalised rows; null: they are not needed.</param>
    /// <param name="values">Receives the 8-bit floats.</param>
    /// <param name="scales">Receives their scales.</param>
    /// <param name="rows">Number of rows of the two buffers.</param>
    /// <param name="tiled">Whether both are laid out in tiles (<see cref="TiledRows"/>).</param>
    public void QuantiseNormed(
        Tensor x, Tensor weight, float epsilon, Tensor? normed, Tensor values, Tensor scales, int rows, bool tiled)
    {
        var inputs = (int)x.size(1);
        var blocks = Blocks(inputs);
        var rounds = (blocks + MaxNormWarps - 1) / MaxNormWarps;
        var warps = (blocks + rounds - 1) / rounds;
        var defines = string.Create(
            CultureInfo.InvariantCulture,
            $"{KernelCompiler.TypeMacro(x.dtype)} NORM_WARPS={warps} NORM_CHUNKS={rounds} TILED={(tiled ? 1 : 0)}");
        kernels.Get(QuantiseSource, "quantiseNormed", defines).Launch(
            ((int)x.size(0), 1, 1), warps * WarpSize, [x, (int)x.stride(0), weight, epsilon, normed, values, scales, rows, inputs]);
    }

    /// <summary>Normalises rows and quantises them as <see cref="Quantise"/> does, in one pass.</summary>
    /// <param name="x">[rows, in] of a 16-bit type; rows may be strided.</param>
    /// <param name="weight">[in], of the norm.</param>
    /// <param name="epsilon">Added to the mean square.</param>
    /// <param name="normed">[rows, in], contiguous: receives the normalised rows; null: they are not needed.</param>
    /// <param name="padded">Number of rows of the result; those after x's rows are undefined.</param>
    /// <returns>Null: rows are too wide for the kernel, or not aligned as it needs.</returns>
    public QuantisedRows? TryQuantiseNormed(Tensor x, Tensor weight, float epsilon, Tensor? normed = null, int padded = 0)
    {
        var (rows, inputs) = (Math.Max(padded, (int)x.size(0)), (int)x.size(1));
        if (!CanQuantiseNormed(x))
            return null;
        var (values, scales) = Room(rows, inputs);
        QuantiseNormed(x, weight, epsilon, normed, values, scales, rows, tiled: false);
        return new(values, scales);
    }

    /// <summary>y = x · Wᵀ + bias.</summary>
    /// <param name="x">[rows, in].</param>
    /// <param name="weight">The matrix.</param>
    /// <param name="scaleRows">[out] int32: the row of blocks of each output.</param>
    /// <param name="y">[rows, out], contiguous; half as wide for gates and ups.</param>
    /// <param name="cut">The tiling; null: the best for the shape.</param>
    /// <param name="gated">Whether the matrix is [gate | up], and y becomes silu(gate) · up.</param>
    /// <param name="add">Whether the product is added to y.</param>
    public void Multiply(
        QuantisedRows x, Fp8Weight weight, Tensor scaleRows, Tensor y, WarpgroupTiling? cut = null, bool gated = false, bool add = false)
    {
        var (rows, outputs, inputs) = (x.Rows, weight.OutFeatures, weight.InFeatures);
        var tiling = cut ?? WarpgroupTiling.Of(rows, outputs, inputs, 1, fp8: true, device.Multiprocessors);
        kernels.Get(WarpgroupTiling.Source, Function, tiling.Defines(y.dtype, fp8: true, gated, add, TokenPermutation.None)).Launch(
            (RowTiles(rows, tiling), tiling.Blocks(outputs), tiling.Splits),
            tiling.Threads,
            [
                weight.Data, weight.Scales, scaleRows, (int)weight.Scales.size(1), weight.Grid.BlockColumns, weight.Grid.ColumnOffset, weight.Bias,
                x.Values, x.Scales, rows, y, rows, outputs, inputs, inputs, (int)y.size(1), RowTiles(rows, tiling), 0ul, 0, 0, 0ul, 0ul, 0ul, 1, EvictsFirst(rows),
            ],
            tiling.SharedBytes);
    }

    /// <summary>A product for each head: y[:, h] = x[:, h] · W[h]ᵀ.</summary>
    /// <param name="x">[rows, heads · the stride of a head]; the first inputs of each head are read.</param>
    /// <param name="xHead">Distance from one head to the next, in elements.</param>
    /// <param name="weights">[heads, out, in], contiguous, of x's type.</param>
    /// <param name="y">[rows, heads · out].</param>
    public void MultiplyHeads(Tensor x, int xHead, Tensor weights, Tensor y)
    {
        var (rows, heads, outputs, inputs) = ((int)x.size(0), (int)weights.size(0), (int)weights.size(1), (int)weights.size(2));
        var tiling = WarpgroupTiling.Of(rows, outputs, inputs, heads, fp8: false, device.Multiprocessors);
        var tiles = RowTiles(rows, tiling);
        kernels.Get(WarpgroupTiling.Source, Function, tiling.Defines(y.dtype, fp8: false, gated: false, add: false, TokenPermutation.None)).Launch(
            (tiles * heads, tiling.Blocks(outputs), tiling.Splits),
            tiling.Threads,
            [
                weights, 0ul, 0ul, 0, 1, 0, 0ul, x, 0ul, rows, y, rows, outputs, inputs, (int)x.size(1), (int)y.size(1), tiles, (long)outputs * inputs, xHead,
                outputs, 0ul, 0ul, 0ul, 1, EvictsFirst(rows),
            ],
            tiling.SharedBytes);
    }

    /// <summary>The products of all experts of a step by matrices of 8-bit floats, each by its own rows.</summary>
    /// <param name="x">[rows, in].</param>
    /// <param name="table">The experts' matrices.</param>
    /// <param name="y">[assignments, out]; half as many outputs where gate and up are combined.</param>
    /// <param name="rows">The rows of each expert.</param>
    /// <param name="direction">From tokens to experts, with silu(gate) · up; or back.</param>
    /// <param name="cut">The tiling; null: the best for the shape.</param>
    public void MultiplyExperts(QuantisedRows x, ExpertTable table, Tensor y, ExpertRows rows, TokenPermutation direction, WarpgroupTiling? cut = null) =>
        MultiplyExperts(x.Values, x.Scales, table, y, rows, direction, cut);

    /// <summary>The products of all experts of a step by matrices of the activation type, each by its own rows.</summary>
    /// <param name="x">[rows, in].</param>
    /// <param name="table">The experts' matrices.</param>
    /// <param name="y">[assignments, out]; half as many outputs where gate and up are combined.</param>
    /// <param name="rows">The rows of each expert.</param>
    /// <param name="direction">From tokens to experts, with silu(gate) · up; or back.</param>
    /// <param name="cut">The tiling; null: the best for the shape.</param>
    public void MultiplyExperts(Tensor x, ExpertTable table, Tensor y, ExpertRows rows, TokenPermutation direction, WarpgroupTiling? cut = null) =>
        MultiplyExperts(x, null, table, y, rows, direction, cut);

    private void MultiplyExperts(Tensor x, Tensor? scales, ExpertTable table, Tensor y, ExpertRows rows, TokenPermutation direction, WarpgroupTiling? cut)
    {
        var (gated, fp8) = (direction == TokenPermutation.ToExperts, scales is not null);
        // The inputs of an expert are never split over blocks, even if there is only one expert.
        var tiling = (cut ?? WarpgroupTiling.Of(rows.RowsOfTile, table.OutFeatures, table.InFeatures, rows.Products, fp8, device.Multiprocessors)) with { Splits = 1 };
        kernels.Get(WarpgroupTiling.Source, Function, tiling.Defines(y.dtype, fp8, gated, add: false, direction)).Launch(
            (rows.MaxTiles, tiling.Blocks(table.OutFeatures), 1),
            tiling.Threads,
            [
                table.Data, table.Scales, table.ScaleRows, table.ScaleColumns, table.Grid?.BlockColumns ?? 1, table.Grid?.ColumnOffset ?? 0, 0ul, x, scales,
                (int)x.size(0), y, rows.Assignments, table.OutFeatures, table.InFeatures, (int)x.size(1), (int)y.size(1), 1, 0ul, 0, 0,
                rows.Tiles, rows.Starts, rows.Order, rows.PerToken, EvictsFirst(rows.Assignments / rows.PerToken),
            ],
            tiling.SharedBytes);
    }

    private static int EvictsFirst(int tokens) => tokens <= MaxEvictingTokens ? 1 : 0;

    private static int Blocks(int inputs) => (inputs + WarpgroupTiling.ChunkBytes - 1) / WarpgroupTiling.ChunkBytes;

    private (Tensor Values, Tensor Scales) Room(int rows, int inputs) => (
        workspace.Rent(WorkspaceSlot.Quantised, rows, inputs, ScalarType.Byte),
        workspace.Rent(WorkspaceSlot.QuantisedScales, Blocks(inputs), rows, ScalarType.Float32));

    private static int RowTiles(int rows, WarpgroupTiling tiling) => (rows + tiling.Rows - 1) / tiling.Rows;

    private bool IsFor(ScalarType type) => device.ComputeCapability == CudaDevice.Hopper && type != ScalarType.Float32;
}
