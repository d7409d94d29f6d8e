using static TorchSharp.torch;

namespace LocalLlm.Ops.Cuda;

/// <summary>The tiling of <c>bulk_products.cu</c>: what it is compiled for, and its grid.</summary>
/// <param name="Groups">Number of warpgroups that multiply: 2 or 3.</param>
/// <param name="Tiles">Max number of tiles of 64 rows of an item: one or two for each warpgroup.</param>
/// <param name="Stages">Stages in flight: each has a tile of the matrix, and a tile of inputs for every tile of rows.</param>
internal readonly record struct BulkTiling(int Groups, int Tiles, int Stages)
{
    /// <summary>The source of the kernel.</summary>
    public const string Source = "tensor_core.cu warpgroup.cu barriers.cu product.cu warpgroup_packs.cu bulk_products.cu";

    /// <summary>Rows of a tile.</summary>
    public const int RowsOfTile = 64;

    /// <summary>Number of inputs, of one byte each, that share a scale.</summary>
    public const int Chunk = 128;

    private const int Outputs = 128; // of an item
    private const int Multiple = 8; // results of one store
    private const int ThreadsOfGroup = 128;
    private const int Alignment = 1024;
    private const double NarrowCost = 0.92; // of a tile's time, as measured on an H200

    /// <summary>For many rows: uses each byte of the matrix most often.</summary>
    public static BulkTiling Wide { get; } = new(2, 4, 4);

    /// <summary>For two or three tiles of rows: no warpgroup has two of them.</summary>
    public static BulkTiling Narrow { get; } = new(3, 3, 5);

    /// <summary>Threads of a block; one more warpgroup loads what the others multiply.</summary>
    public int Threads => (Groups + 1) * ThreadsOfGroup;

    /// <summary>Dynamic shared memory of a block, in bytes.</summary>
    public int SharedBytes => (Stages * (((Outputs + (Tiles * RowsOfTile)) * Chunk) + (Tiles * RowsOfTile * sizeof(float)))) + Alignment;

    /// <summary>The tiling that takes the fewest rounds of all multiprocessors.</summary>
    /// <param name="rows">Rows of the product.</param>
    /// <param name="outputs">Rows of the matrix.</param>
    /// <param name="multiprocessors">Number of multiprocessors of the card.</param>
    public static BulkTiling OfProduct(int rows, int outputs, int multiprocessors)
    {
        return Cost(Narrow, NarrowCost) < Cost(Wide, 1) ? Narrow : Wide;

        double Cost(BulkTiling tiling, double ofTile)
        {
            var items = Up(rows, tiling.Tiles * RowsOfTile) * Up(outputs, Outputs);
            return Up(items, multiprocessors) * tiling.Tiles * ofTile;
        }
    }

    /// <summary>The tiling for experts.</summary>
    /// <param name="rows">Mean number of rows of an expert.</param>
    public static BulkTiling OfExperts(int rows) => rows <= Narrow.Tiles * RowsOfTile ? Narrow : Wide;

    /// <summary>Number of tiles for this many rows.</summary>
    public static int TilesOf(int rows) => Up(rows, RowsOfTile);

    /// <summary>Whether the kernel supports a matrix's scales: each block of 64 outputs by 128 inputs must have one scale.</summary>
    /// <param name="grid">Which scale an element has.</param>
    /// <param name="inputs">Columns of a matrix.</param>
    /// <param name="isGated">Whether a matrix has gates above ups.</param>
    public static bool TakesGrid(Fp8Grid grid, int inputs, bool isGated)
    {
        var rows = grid.ScaleRows;
        var results = isGated ? rows.Length / 2 : rows.Length;
        return inputs % Chunk == 0 && grid is { BlockColumns: Chunk, ColumnOffset: 0 }
            && rows.Length % (isGated ? 2 * Multiple : Multiple) == 0
            && Enumerable.Range(0, rows.Length).All(row => rows[row] == rows[row - (row % results % (Outputs / 2))]);
    }

    /// <summary>The macros that compile the kernel for this tiling.</summary>
    /// <param name="type">Type of the results, 16 bits wide.</param>
    /// <param name="rows">Where rows come from and go to; rows that go to experts become silu(gate) · up.</param>
    /// <param name="gated">Whether gates and ups become silu(gate) · up without experts too.</param>
    /// <param name="add">Whether results are added to the output.</param>
    public string Defines(ScalarType type, TokenPermutation rows, bool gated = false, bool add = false) =>
        $"{KernelCompiler.TypeMacro(type)} FP8=1 NR={Outputs} GROUPS={Groups} TILES={Tiles} STAGES={Stages} ADD={(add ? 1 : 0)} "
        + $"GATED={(gated || rows == TokenPermutation.ToExperts ? 1 : 0)} ROWS={(int)rows}";

    private static int Up(int number, int part) => (number + part - 1) / part;
}
