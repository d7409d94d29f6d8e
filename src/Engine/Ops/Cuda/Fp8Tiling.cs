using static TorchSharp.torch;

namespace LocalLlm.Ops.Cuda;

/// <summary>How <c>fp8_products.cu</c> is cut: what it is compiled for, and its grid.</summary>
/// <param name="Rows">Rows of x that are computed at once: 8, 16, 32, 64 or 128.</param>
/// <param name="Groups">Warpgroups of a block, each with 64 rows of the matrix: 1 or 2.</param>
/// <param name="Deep">Chunks of 128 inputs of a stage: 1 or 2.</param>
/// <param name="Stages">Stages on their way.</param>
/// <param name="Splits">Blocks that share the inputs of the same outputs.</param>
internal readonly record struct Fp8Tiling(int Rows, int Groups, int Deep, int Stages, int Splits)
{
    /// <summary>Inputs that share a scale: matrices begin, and change scales, at multiples of it.</summary>
    public const int Chunk = 128;

    /// <summary>The source of the kernel.</summary>
    public const string Source = "tensor_core.cu warpgroup.cu product.cu fp8_products.cu";

    private const int MaxRows = 128;
    private const int MinRows = 8;
    private const int OutputsOfGroup = 64;
    private const int ThreadsOfGroup = 128;
    private const int MaxSplits = 8;
    private const int MaxSharedBytes = 227 << 10;
    private const int SharedBytesOfHalf = 113 << 10; // two blocks of a multiprocessor
    private const int Alignment = 1024;

    /// <summary>Threads of a block.</summary>
    public int Threads => Groups * ThreadsOfGroup;

    /// <summary>Dynamic shared memory of a block, in bytes.</summary>
    public int SharedBytes => (Stages * StageBytes) + Alignment;

    private int Tile => Groups * OutputsOfGroup;

    // The 8-bit floats, and a float32 scale for every 128 of them.
    private int StageBytes => Deep * (Tile + Rows) * (Chunk + sizeof(float));

    /// <summary>Outputs of a block, or pairs of gate and up.</summary>
    public int Owned(bool gated) => gated ? Tile / 2 : Tile;

    /// <summary>Blocks side by side that all outputs take.</summary>
    /// <param name="outputs">Rows of the matrix.</param>
    public int Blocks(int outputs) => (outputs + Tile - 1) / Tile;

    /// <summary>Enough blocks for every multiprocessor, with as much on its way as fits.</summary>
    /// <param name="rows">Rows of a product.</param>
    /// <param name="outputs">Rows of the matrix.</param>
    /// <param name="inputs">Its columns.</param>
    /// <param name="products">Products at once, of experts.</param>
    /// <param name="multiprocessors">Of the card.</param>
    public static Fp8Tiling Of(int rows, int outputs, int inputs, int products, int multiprocessors)
    {
        var rowsAtOnce = MinRows;
        while (rowsAtOnce < rows && rowsAtOnce < MaxRows)
            rowsAtOnce *= 2;
        // Many rows reuse what is read; few are bound by reading, which two blocks of a multiprocessor keep going.
        var isWide = rowsAtOnce == MaxRows;
        var tiling = new Fp8Tiling(rowsAtOnce, isWide ? 2 : 1, rowsAtOnce <= 32 ? 2 : 1, 1, 1);
        tiling = tiling with { Stages = ((isWide ? MaxSharedBytes : SharedBytesOfHalf) - Alignment) / tiling.StageBytes };
        var blocks = tiling.Blocks(outputs) * ((rows + rowsAtOnce - 1) / rowsAtOnce);
        var steps = (inputs + (tiling.Deep * Chunk) - 1) / (tiling.Deep * Chunk);
        var wanted = (isWide ? 1 : 2) * multiprocessors;
        return products > 1 ? tiling : tiling with { Splits = Math.Clamp(Math.Min(wanted / blocks, steps / 2), 1, MaxSplits) };
    }

    /// <summary>Other cuts that fit the same product: for measurements.</summary>
    public IEnumerable<Fp8Tiling> Alternatives()
    {
        var rows = Rows;
        foreach (var cut in
            from groups in (int[])[1, 2] from deep in (int[])[1, 2] from stages in (int[])[3, 4, 6, 8, 12]
            from splits in (int[])[1, 2, 4, 8] select new Fp8Tiling(rows, groups, deep, stages, splits))
        {
            if (cut.SharedBytes <= MaxSharedBytes && cut.Stages * cut.StageBytes >= cut.Tile * (cut.Rows + 1) * sizeof(float) && (Rows < MaxRows || cut.Deep == 1))
                yield return cut;
        }
    }

    /// <summary>The macros that compile the kernel for this cut.</summary>
    /// <param name="type">Of outputs, 16 bits wide.</param>
    /// <param name="gated">Whether pairs of results become silu(gate) · up.</param>
    /// <param name="add">Whether results are added to what is there.</param>
    /// <param name="rows">Where rows come from and go to, as the kernel numbers it.</param>
    public string Defines(ScalarType type, bool gated, bool add, SkinnyRows rows) =>
        $"{KernelCompiler.TypeMacro(type)} NR={Rows} GROUPS={Groups} DEEP={Deep} STAGES={Stages} GATED={(gated ? 1 : 0)} ADD={(add ? 1 : 0)} ROWS={(int)rows}";
}
