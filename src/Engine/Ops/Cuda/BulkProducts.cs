using LocalLlm.Interop;
using static TorchSharp.torch;

namespace LocalLlm.Ops.Cuda;

/// <summary>
/// Products of many rows by matrices of 8-bit floats on Hopper (<c>bulk_products.cu</c>): rows become 8-bit floats as in
/// <see cref="WarpgroupProducts"/>, laid out in tiles that the copy engine brings whole.
/// </summary>
/// <param name="device">The card.</param>
/// <param name="kernels">Its kernels.</param>
/// <param name="workspace">Room for the tiles.</param>
/// <param name="products">Says whether rows become 8-bit floats.</param>
internal sealed unsafe class BulkProducts(CudaDevice device, KernelCompiler kernels, CudaWorkspace workspace, WarpgroupProducts products)
{
    private const string QuantiseSource = "quantise.cu";
    private const string ExpertSource = "experts.cu";
    private const int QuantiseThreads = 256;
    private const int WarpSize = 32;
    private const int GatherParts = 8; // blocks that share the inputs of a tile

    /// <summary>Rows of each expert, on average, from which on it is quicker than <see cref="WarpgroupProducts"/>.</summary>
    public const int MinRows = 20;

    /// <summary>The tables of experts with maps, where it can multiply by them.</summary>
    public ExpertTables Described(ExpertTables tables) =>
        tables with { GateUp = Described(tables.GateUp, isGated: true), Down = Described(tables.Down, isGated: false) };

    /// <summary>Whether it multiplies by a matrix [gate | up], which is described, and combines the halves.</summary>
    public static bool TakesGated(Fp8Weight weight) =>
        weight.Bias is null && BulkTiling.TakesGrid(weight.Grid, weight.InFeatures, isGated: true);

    /// <summary>What it wants to know of a matrix; null: it cannot multiply by it.</summary>
    public BulkMatrix? TryDescribe(Fp8Weight weight) =>
        Quantises && BulkTiling.TakesGrid(weight.Grid, weight.InFeatures, isGated: false) ? BulkMatrix.Of(weight, device.Torch) : null;

    /// <summary>Lists the tiles of a step's experts behind their sorted rows.</summary>
    /// <param name="rows">Sorted.</param>
    /// <param name="memory">[<see cref="BulkRows.Length"/>] int32 on the card for the lists.</param>
    /// <param name="macros">What <c>experts.cu</c> is compiled for.</param>
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
    /// <param name="y">[assignments, out], or half of the outputs where gate and up become one.</param>
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
    /// <param name="description">Of the matrix.</param>
    /// <param name="scaleRows">[out] int32: the row of blocks of each output.</param>
    /// <param name="y">[rows, out], contiguous; of [gate | up] half of the outputs.</param>
    /// <param name="gated">Whether gates and ups become silu(gate) · up.</param>
    /// <param name="add">Whether results are added to y, rounded once.</param>
    public void Multiply(
        TiledRows x, Fp8Weight weight, BulkMatrix description, Tensor scaleRows, Tensor y, bool gated = false, bool add = false) =>
        Launch(
            BulkTiling.OfProduct(x.Rows, weight.OutFeatures, device.Multiprocessors), description.Map, description.ScaleAddress, scaleRows,
            (int)weight.Scales.size(1), weight.Bias, x, y, weight.OutFeatures, TokenPermutation.None, [0ul, 0ul, 0ul], gated, add);

    /// <summary>Rows as 8-bit floats in tiles; valid until others are.</summary>
    /// <param name="x">[rows, in] of a 16-bit type; rows may be strided.</param>
    public TiledRows Tiled(Tensor x) => Quantise(x, BulkTiling.TilesOf((int)x.size(0)), TokenPermutation.None, 0, 0);

    /// <summary>The same of normalised rows, in one pass over them.</summary>
    /// <param name="x">[rows, in] of a 16-bit type; rows may be strided.</param>
    /// <param name="weight">[in], of the norm.</param>
    /// <param name="epsilon">Added to the mean square.</param>
    /// <returns>Null: rows are too wide for it, or begin where it cannot read.</returns>
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

    // A token goes to several experts: it becomes 8-bit floats once, which are copied.
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

    /// <summary>How products of them are cut.</summary>
    public BulkTiling Tiling => BulkTiling.OfExperts(Rows.MeanRows);

    /// <summary>Tiles of all experts at most.</summary>
    public int MaxTiles => Rows.Experts + (Rows.Assignments / BulkTiling.RowsOfTile);

    /// <summary>[1 + items, 4] int32: how many there are; then the expert, the first of its rows, the first of all tiles, tiles.</summary>
    public ulong Items => Memory;

    /// <summary>[max tiles, 2] int32: the expert, and which tile of its rows; then -1.</summary>
    public ulong Tiles => Memory + ((ulong)(IntsOfItem * (1 + MaxItems)) * sizeof(int));

    /// <summary>Int32 that all of it takes at most: never more with fewer assignments, whatever items they have.</summary>
    public int Length => (IntsOfItem * (1 + ItemsOf(BulkTiling.OfExperts(1)))) + (IntsOfTile * MaxTiles);

    private int MaxItems => ItemsOf(Tiling);

    private int ItemsOf(BulkTiling tiling) => Rows.Experts + (Rows.Assignments / (tiling.Tiles * BulkTiling.RowsOfTile));
}

/// <summary>A matrix as the copy engine and the kernel find it; owns its tensors, not the matrix.</summary>
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
