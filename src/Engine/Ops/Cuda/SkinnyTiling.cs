using static TorchSharp.torch;

namespace LocalLlm.Ops.Cuda;

/// <summary>The tiling of <c>skinny.cu</c>: what it is compiled for, and its grid.</summary>
/// <param name="RowTiles">Tiles of 8 rows that are computed at once: 1, 2, 4, 8 or 16.</param>
/// <param name="OutputTiles">Tiles of 16 outputs of a warp. Each row of x that the warp reads serves all of them.</param>
/// <param name="OutputWarps">Warps side by side, each with its own outputs.</param>
/// <param name="InputWarps">Warps that share the inputs of the same outputs.</param>
/// <param name="Depth">Chunks of the matrix in flight, for each warp.</param>
/// <param name="Splits">Blocks that share the inputs of the same outputs.</param>
internal readonly record struct SkinnyTiling(int RowTiles, int OutputTiles, int OutputWarps, int InputWarps, int Depth, int Splits)
{
    /// <summary>Max number of rows that the kernel is meant for; beyond, products are bound by arithmetic.</summary>
    public const int MaxRows = 128;

    private const int RowsOfTile = 8;
    private const int OutputsOfTile = 16;
    private const int WarpSize = 32;
    private const int MaxOutputWarps = 4;
    private const int MaxWarps = 16;
    private const int MaxSplits = 8;

    // Limit of the sums that warps exchange: with a column of padding they fit in 48 KiB of shared memory.
    private const int MaxExchangedTiles = 80;

    /// <summary>Threads of a block.</summary>
    public int Threads => OutputWarps * InputWarps * WarpSize;

    /// <summary>Number of outputs of a block, or of pairs of gate and up.</summary>
    public int Owned(bool gated) => OutputWarps * OutputTiles * OutputsOfTile / (gated ? 2 : 1);

    /// <summary>Number of inputs that a warp reads at once.</summary>
    public static int ChunkOf(bool fp8) => fp8 ? 64 : 32;

    /// <summary>
    /// The tiling with enough blocks for all multiprocessors, and in each block as many warps as have something to read.
    /// </summary>
    /// <param name="rows">Rows of a product.</param>
    /// <param name="outputs">Rows of the matrix.</param>
    /// <param name="inputs">Columns of the matrix.</param>
    /// <param name="products">Number of products at once, of experts or heads.</param>
    /// <param name="fp8">Whether elements are 8-bit floats.</param>
    /// <param name="multiprocessors">Number of multiprocessors of the card.</param>
    public static SkinnyTiling Of(int rows, int outputs, int inputs, int products, bool fp8, int multiprocessors)
    {
        var rowTiles = 1;
        while (rowTiles * RowsOfTile < rows && rowTiles * RowsOfTile < MaxRows)
            rowTiles *= 2;
        var outputWarps = MaxOutputWarps;
        while (outputWarps > 1 && Blocks(outputs, outputWarps) * products < multiprocessors)
            outputWarps /= 2;
        var chunks = (inputs + ChunkOf(fp8) - 1) / ChunkOf(fp8);
        var depth = rowTiles == 1 ? 4 : 2;
        // With sixteen tiles of rows, half the warps fill all registers.
        var maxWarps = rowTiles >= RowsOfTile ? MaxWarps / 2 : MaxWarps;
        var inputWarps = 1;
        while (2 * inputWarps * outputWarps <= maxWarps && 2 * inputWarps * outputWarps * rowTiles <= MaxExchangedTiles && 2 * inputWarps * 2 <= chunks)
            inputWarps *= 2;
        var blocks = Blocks(outputs, outputWarps);
        var splits = products > 1 ? 1 : Math.Clamp(Math.Min(multiprocessors / blocks, chunks / (inputWarps * depth)), 1, MaxSplits);
        return new(rowTiles, 1, outputWarps, inputWarps, depth, splits);
    }

    /// <summary>Max number of outputs of a matrix that blocks share; each has at most one counter.</summary>
    public static long MaxSplitOutputs(int multiprocessors) => (long)multiprocessors * MaxOutputWarps * OutputsOfTile;

    /// <summary>Max number of sums that blocks exchange in memory: with as many splits as multiprocessors have blocks for.</summary>
    public static long MaxPartials(int multiprocessors) => MaxRows * MaxSplitOutputs(multiprocessors);

    /// <summary>The macros that compile the kernel for this tiling.</summary>
    /// <param name="type">Type of inputs and outputs, 16 bits wide.</param>
    /// <param name="fp8">Whether the matrix has 8-bit floats.</param>
    /// <param name="gated">Whether pairs of results become silu(gate) · up.</param>
    /// <param name="add">Whether results are added to the output.</param>
    /// <param name="rows">Where rows come from and go to, as the kernel numbers it.</param>
    public string Defines(ScalarType type, bool fp8, bool gated, bool add, TokenPermutation rows) =>
        $"{KernelCompiler.TypeMacro(type)} FP8={(fp8 ? 1 : 0)} NT={RowTiles} MT={OutputTiles} MG={OutputWarps} KG={InputWarps} DEPTH={Depth} "
        + $"GATED={(gated ? 1 : 0)} ADD={(add ? 1 : 0)} ROWS={(int)rows}";

    private static int Blocks(int outputs, int outputWarps) => (outputs + (outputWarps * OutputsOfTile) - 1) / (outputWarps * OutputsOfTile);
}
