using LocalLlm.Interop;
using static TorchSharp.torch;

namespace LocalLlm.Ops.Cuda;

/// <summary>
/// Products of many rows by matrices of 8-bit floats on Hopper (<c>bulk_products.cu</c>). Rows are quantised as in
/// <see cref="WarpgroupProducts"/>, but laid out in tiles that the copy engine loads as a whole.
/// </summary>
/// <param name="device">The card.</param>
/// <param name="kernels">The card's kernels.</param>
/// <param name="workspace">Buffers for the tiles.</param>
/// <param name="products">Decides whether rows are quantised.</param>
internal sealed unsafe class BulkProducts(CudaDevice device, KernelCompiler kernels, CudaWorkspace workspace, WarpgroupProducts products)
{
    private const string QuantiseSource = "quantise.cu";
    private const string ExpertSource = "experts.cu";
    private const int QuantiseThreads = 256;
    private const int WarpSize = 32;
    private const int GatherParts = 8; // blocks that share the inputs of a tile

    /// <summary>Mean number of rows per expert from which on this is faster than <see cref="WarpgroupProducts"/>.</summary>
    public const int MinRows = 20;

    /// <summary>Adds tensor maps to the tables of experts, if the kernel supports their matrices.</summary>
    public ExpertTables Described(ExpertTables tables) =>
        tables with { GateUp = Described(tables.GateUp, isGated: true), Down = Described(tables.Down, isGated: false) };

    /// <summary>Whether the kernel can multiply by a described matrix [gate | up] and combine the halves.</summary>
    public static bool TakesGated(Fp8Weight weight) =>
        weight.Bias is null && BulkTiling.TakesGrid(weight.Grid, weight.InFeatures, isGated: true);

    /// <summary>Describes a matrix for the kernel; null: the kernel does not support the matrix.</summary>
    public BulkMatrix? TryDescribe(Fp8Weight weight) =>
        Quantises && BulkTiling.TakesGrid(weight.Grid, weight.InFeatures, isGated: false) ? BulkMatrix.Of(weight, device.Torch) : null;

    /// <summary>Queues the kernel that lists the tiles of a step's experts, after their rows are sorted.</summary>
    /// <param name="rows">The sorted rows.</param>
    /// <param name="memory">[<see cref="BulkRows.Length"/>] int32 on the card for the lists.</param>
    /// <param name="macros">Macros that compile <c>experts.cu</c>.</param>
    public BulkRows List(ExpertRows rows, ulong memory, string macros)
    {
        var bulk = new BulkRows(rows, memory);
        kernels.Get(ExpertSource, "listItems", macros).Launch(
            (1, 1, 1), WarpSize, [rows.Starts, bulk.Tiles, bulk.MaxTiles, bulk.Items, bulk.Tiling.Tiles]);
        return bulk;
    }

    /// <summary>The products of all experts of a step, each by its own rows.</summary>
    /// <param name="x">[rows, in] of a 16-bit type.</param>
    /// <param name="table">The experts' matrices, with maps.</param>
    /// <param name="y">[assignments, out]; half as many outputs where gate and up are combined.</param>
    /// <param name="bulk">The rows of each expert.</param>
    /// <param name="direction">From tokens to experts, with silu(gate) · up; or back.</param>
    public void MultiplyExperts(Tensor x, ExpertTable table, Tensor y, BulkRows bulk, TokenPermutation direction)
    {
        if (table is not { Maps: { } maps, Scales: { } scales, ScaleRows: { } scaleRows })
            throw new ArgumentException("these matrices are not described to the copy engine", nameof(table));
        var rows = bulk.Rows;
        using var tiled = direction == TokenPermutation.ToExperts
            ? Gather(x, bulk) : Quantise(x, bulk.MaxTiles, direction, bulk.Tiles, rows.Starts);
        Launch(
            bulk.Tiling, maps, scales, scaleRows, table.ScaleColumns, null, tiled, y, table.OutFeatures, direction,
            [bulk.Items, rows.Starts, rows.Order]);
    }

    /// <summary>y = x · Wᵀ + bias.</summary>
    /// <param name="x">Rows of <see cref="Tiled"/> or <see cref="TryTiledNormed"/>.</param>
    /// <param name="weight">The matrix.</param>
    /// <param name="description">Result of <see cref="TryDescribe"/> for the matrix.</param>
    /// <param name="scaleRows">[out] int32: the row of blocks of each output.</param>
    /// <param name="y">[rows, out], contiguous; half as many outputs for [gate | up].</param>
    /// <param name="gated">Whether gates and ups become silu(gate) · up.</param>
    /// <param name="add">Whether results are added to y, rounded once.</param>
    public void Multiply(
        TiledRows x, Fp8Weight weight, BulkMatrix description, Tensor scaleRows, Tensor y, bool gated = false, bool add = false) =>
        Launch(
            BulkTiling.OfProduct(x.Rows, weight.OutFeatures, device.Multiprocessors), description.Map, description.ScaleAddress, scaleRows,
            (int)weight.Scales.size(1), weight.Bias, x, y, weight.OutFeatures, TokenPermutation.None, [0ul, 0ul, 0ul], gated, add);

    /// <summary>Quantises rows to tiles of 8-bit floats; valid until other rows are quantised.</summary>
    /// <param name="x">[rows, in] of a 16-bit type; rows may be strided.</param>
    public TiledRows Tiled(Tensor x) => Quantise(x, BulkTiling.TilesOf((int)x.size(0)), TokenPermutation.None, 0, 0);

    /// <summary>Normalises rows and quantises them as <see cref="Tiled"/> does, in one pass.</summary>
    /// <param name="x">[rows, in] of a 16-bit type; rows may be strided.</param>
    /// <param name="weight">[in], of the norm.</param>
    /// <param name="epsilon">Added to the mean square.</param>
    /// <returns>Null: rows are too wide for the kernel, or not aligned as it needs.</returns>
    public TiledRows? TryTiledNormed(Tensor x, Tensor weight, float epsilon)
    {
        if (!WarpgroupProducts.CanQuantiseNormed(x))
            return null;
        var tiled = Room(BulkTiling.TilesOf((int)x.size(0)), x);
        products.QuantiseNormed(x, weight, epsilon, normed: null, tiled.Values, tiled.Scales, tiled.Rows, tiled: true);
        return tiled;
    }

    private bool Quantises => products.Quantises(ScalarType.BFloat16);

    private ExpertTable Described(ExpertTable table, bool isGated)
    {
        if (!Quantises || table.Grid is not { } grid || !BulkTiling.TakesGrid(grid, table.InFeatures, isGated))
            return table;
        using var addresses = table.Data.cpu();
        var maps = TensorMaps.Create(addresses.data<long>().ToArray(), table.OutFeatures, table.InFeatures, device.Torch);
        return table with { Maps = maps.DetachFromDisposeScope() };
    }

    private void Launch(
        BulkTiling tiling, Tensor maps, Tensor scales, Tensor scaleRows, int scaleColumns, Tensor? bias, TiledRows x, Tensor y, int outputs,
        TokenPermutation direction, ReadOnlySpan<KernelArgument> lists, bool gated = false, bool add = false)
    {
        var inputs = (int)x.Values.size(1) / BulkTiling.RowsOfTile;
        kernels.Get(BulkTiling.Source, "bulkProducts", tiling.Defines(y.dtype, direction, gated, add)).Launch(
            (device.Multiprocessors, 1, 1),
            tiling.Threads,
            [
                maps, scales, scaleRows, scaleColumns, bias, x.Values, x.Scales, y, x.Rows, outputs, inputs, (int)y.size(1),
                lists[0], lists[1], lists[2],
            ],
            tiling.SharedBytes);
    }

    private TiledRows Quantise(Tensor x, int tiles, TokenPermutation direction, ulong listed, ulong starts)
    {
        var (inputs, chunks) = ((int)x.size(1), (int)x.size(1) / BulkTiling.Chunk);
        var tiled = Room(tiles, x);
        kernels.Get(QuantiseSource, "quantiseTiles", Defines(x.dtype, direction)).Launch(
            (tiles, chunks, 1), QuantiseThreads, [x, (int)x.stride(0), tiled.Values, tiled.Scales, (int)x.size(0), inputs, listed, starts]);
        return tiled;
    }

    // A token goes to several experts: it is quantised once, then copied.
    private TiledRows Gather(Tensor x, BulkRows bulk)
    {
        var inputs = (int)x.size(1);
        using var quantised = products.Quantise(x);
        var tiled = Room(bulk.MaxTiles, x);
        kernels.Get(QuantiseSource, "gatherTiles", Defines(x.dtype, TokenPermutation.ToExperts)).Launch(
            (bulk.MaxTiles, GatherParts, 1),
            QuantiseThreads,
            [
                quantised.Values, quantised.Scales, tiled.Values, tiled.Scales, (int)x.size(0), inputs, bulk.Tiles, bulk.Rows.Starts,
                bulk.Rows.Order, bulk.Rows.PerToken,
            ]);
        return tiled;
    }

    private static string Defines(ScalarType type, TokenPermutation direction) => $"{KernelCompiler.TypeMacro(type)} ROWS={(int)direction}";

    private TiledRows Room(int tiles, Tensor x) => new(
        workspace.Rent(WorkspaceSlot.TiledRows, tiles, x.size(1) * BulkTiling.RowsOfTile, ScalarType.Byte),
        workspace.Rent(WorkspaceSlot.TiledScales, tiles, x.size(1) / BulkTiling.Chunk * BulkTiling.RowsOfTile, ScalarType.Float32),
        (int)x.size(0));
}

/// <summary>The tiles of a step's experts, as <c>experts.cu</c> lists them.</summary>
/// <param name="Rows">The rows of each expert.</param>
/// <param name="Memory">Where the lists begin, int32: items, tiles.</param>
internal readonly record struct BulkRows(ExpertRows Rows, ulong Memory)
{
    private const int IntsOfItem = 4;
    private const int IntsOfTile = 2;

    /// <summary>The tiling of products of these rows.</summary>
    public BulkTiling Tiling => BulkTiling.OfExperts(Rows.MeanRows);

    /// <summary>Max number of tiles of all experts.</summary>
    public int MaxTiles => Rows.Experts + (Rows.Assignments / BulkTiling.RowsOfTile);

    /// <summary>[1 + items, 4] int32: number of items; then for each its expert, first row, first tile and number of tiles.</summary>
    public ulong Items => Memory;

    /// <summary>[max tiles, 2] int32: for each tile its expert and its index among the expert's tiles; then -1.</summary>
    public ulong Tiles => Memory + ((ulong)(IntsOfItem * (1 + MaxItems)) * sizeof(int));

    /// <summary>Max number of int32 of both lists. Fewer assignments never need more, whatever items they have.</summary>
    public int Length => (IntsOfItem * (1 + ItemsOf(BulkTiling.OfExperts(1)))) + (IntsOfTile * MaxTiles);

    private int MaxItems => ItemsOf(Tiling);

    private int ItemsOf(BulkTiling tiling) => Rows.Experts + (Rows.Assignments / (tiling.Tiles * BulkTiling.RowsOfTile));
}

/// <summary>Describes a matrix to the copy engine and the kernel. Owns its tensors, but not the matrix.</summary>
/// <param name="Map">[1, 128] bytes on the card.</param>
/// <param name="ScaleAddress">[1] int64 on the card.</param>
internal sealed record BulkMatrix(Tensor Map, Tensor ScaleAddress) : IDisposable
{
    /// <summary>Describes a matrix.</summary>
    public static unsafe BulkMatrix Of(Fp8Weight weight, Device device) => new(
        TensorMaps.Create([(long)weight.Data.DataPointer()], weight.OutFeatures, weight.InFeatures, device).DetachFromDisposeScope(),
        tensor(new[] { (long)weight.Scales.DataPointer() }, device: device).DetachFromDisposeScope());

    /// <inheritdoc/>
    public void Dispose()
    {
        Map.Dispose();
        ScaleAddress.Dispose();
    }
}
