using static TorchSharp.torch;

namespace LocalLlm.Ops.Cuda;

/// <summary>How <c>skinny.cu</c> is cut: what it is compiled for, and its grid.</summary>
/// <param name="RowTiles">Tiles of 8 rows that are computed at once: 1, 2, 4, 8 or 16.</param>
/// <param name="OutputTiles">Tiles of 16 outputs of a warp: each row of x that it reads serves all of them.</param>
/// <param name="OutputWarps">Warps side by side, each with its own outputs.</param>
/// <param name="InputWarps">Warps that share the inputs of the same outputs.</param>
/// <param name="Depth">Chunks of the matrix on their way, for each warp.</param>
/// <param name="Splits">Blocks that share the inputs of the same outputs.</param>
internal readonly record struct SkinnyTiling(int RowTiles, int OutputTiles, int OutputWarps, int InputWarps, int Depth, int Splits)
{
    /// <summary>The most rows for which the kernel is meant: beyond, products are bound by arithmetic.</summary>
    public const int MaxRows = 128;

    private const int RowsOfTile = 8;
    private const int OutputsOfTile = 16;
    private const int WarpSize = 32;
    private const int MaxOutputWarps = 4;
    private const int MaxWarps = 16;
    private const int MaxSplits = 8;

    // The sums that the warps exchange, in 48 KiB of shared memory with a column of padding.
    private const int MaxExchangedTiles = 80;

    /// <summary>Threads of a block.</summary>
    public int Threads => OutputWarps * InputWarps * WarpSize;

    /// <summary>Outputs of a block, or pairs of gate and up.</summary>
    public int Owned(bool gated) => OutputWarps * OutputTiles * OutputsOfTile / (gated ? 2 : 1);

    /// <summary>Inputs that a warp reads at once.</summary>
    public static int ChunkOf(bool fp8) => fp8 ? 64 : 32;

    /// <summary>
    /// Enough blocks for every multiprocessor, and in each of them as many warps as there is something to read for.
    /// </summary>
    /// <param name="rows">Rows of a product.</param>
    /// <param name="outputs">Rows of the matrix.</param>
    /// <param name="inputs">Its columns.</param>
    /// <param name="products">Products at once, of experts or heads.</param>
    /// <param name="fp8">Whether elements are 8-bit floats.</param>
    /// <param name="multiprocessors">Of the card.</param>
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
        // Sixteen tiles of rows take so many registers that half the warps fill them.
        var maxWarps = rowTiles >= RowsOfTile ? MaxWarps / 2 : MaxWarps;
        var inputWarps = 1;
        while (2 * inputWarps * outputWarps <= maxWarps && 2 * inputWarps * outputWarps * rowTiles <= MaxExchangedTiles && 2 * inputWarps * 2 <= chunks)
            inputWarps *= 2;
        var blocks = Blocks(outputs, outputWarps);
        var splits = products > 1 ? 1 : Math.Clamp(Math.Min(multiprocessors / blocks, chunks / (inputWarps * depth)), 1, MaxSplits);
        return new(rowTiles, 1, outputWarps, inputWarps, depth, splits);
    }

    /// <summary>Most outputs of a matrix that blocks share, each of which has a counter at most.</summary>
    public static long MaxSplitOutputs(int multiprocessors) => (long)multiprocessors * MaxOutputWarps * OutputsOfTile;

    /// <summary>Most sums that blocks exchange in memory: as many splits as multiprocessors have blocks for.</summary>
    public static long MaxPartials(int multiprocessors) => MaxRows * MaxSplitOutputs(multiprocessors);

    /// <summary>The macros that compile the kernel for this cut.</summary>
    /// <param name="type">Of inputs and outputs, 16 bits wide.</param>
    /// <param name="fp8">Whether the matrix is of 8-bit floats.</param>
    /// <param name="gated">Whether pairs of results become silu(gate) · up.</param>
    /// <param name="add">Whether results are added to what is there.</param>
    /// <param name="rows">Where rows come from and go to, as the kernel numbers it.</param>
    public string Defines(ScalarType type, bool fp8, bool gated, bool add, TokenPermutation rows) =>
        $"{KernelCompiler.TypeMacro(type)} FP8={(fp8 ? 1 : 0)} NT={RowTiles} MT={OutputTiles} MG={OutputWarps} KG={InputWarps} DEPTH={Depth} "
        + $"GATED={(gated ? 1 : 0)} ADD={(add ? 1 : 0)} ROWS={(int)rows}";

    private static int Blocks(int outputs, int outputWarps) => (outputs + (outputWarps * OutputsOfTile) - 1) / (outputWarps * OutputsOfTile);
}
