using static TorchSharp.torch;

namespace LocalLlm.Ops.Cuda;

/// <summary>The tiling of <c>warpgroup_products.cu</c>: what it is compiled for, and its grid.</summary>
/// <param name="Rows">Rows of x that are computed at once: 8, 16, 32, 64 or 128.</param>
/// <param name="Groups">Warpgroups of a block, each with 64 rows of the matrix: 1 or 2.</param>
/// <param name="Deep">Chunks of 128 bytes of a row in a stage: 1 or 2.</param>
/// <param name="Stages">Stages in flight.</param>
/// <param name="Splits">Blocks that share the inputs of the same outputs: 1, 2, 4 or 8.</param>
internal readonly record struct WarpgroupTiling(int Rows, int Groups, int Deep, int Stages, int Splits)
{
    /// <summary>Bytes of a row that are multiplied at once; with 8-bit floats, that many inputs share a scale.</summary>
    public const int ChunkBytes = 128;

    /// <summary>The source of the kernel.</summary>
    public const string Source = "tensor_core.cu warpgroup.cu product.cu warpgroup_packs.cu warpgroup_products.cu";

    /// <summary>Max shared memory of a block, and of all blocks of a multiprocessor together, in bytes.</summary>
    public const int MaxSharedBytes = 227 << 10;

    private const int MaxRows = 128;
    private const int MinRows = 8;
    private const int OutputsOfGroup = 64;
    private const int ThreadsOfGroup = 128;
    private const int MaxSplits = 8;
    private const int MinStages = 3;
    private const int MaxStages = 8;
    private const int MaxResident = 5;
    private const int SharedBytesOfSystem = 1 << 10; // of each block
    private const int Registers = 65536;
    private const int Alignment = 1024;

    /// <summary>Threads of a block.</summary>
    public int Threads => Groups * ThreadsOfGroup;

    /// <summary>Dynamic shared memory of a block, in bytes.</summary>
    public int SharedBytes => (Stages * StageBytes) + Alignment;

    /// <summary>Bytes of the sums that a block finally writes over its stages.</summary>
    public int SumBytes => Tile * (Rows + 1) * sizeof(float);

    private int Tile => Groups * OutputsOfGroup;

    // The elements, and a float32 scale for every chunk of a row.
    private int StageBytes => Deep * (Tile + Rows) * (ChunkBytes + sizeof(float));

    // Resident blocks to compile for, which bounds the registers of a thread: as many blocks as shared memory has room for.
    private int MinBlocks => Math.Max(1, Math.Min(MaxSharedBytes / (SharedBytes + SharedBytesOfSystem), Registers / (Threads * RegistersOfThread)));

    // Registers for a thread's sums, for those of two steps, and for addresses.
    private int RegistersOfThread => 24 + (24 * Deep) + (Rows / 2 * (1 + (2 * Deep)));

    /// <summary>Number of blocks side by side for all outputs.</summary>
    /// <param name="outputs">Rows of the matrix.</param>
    public int Blocks(int outputs) => (outputs + Tile - 1) / Tile;

    /// <summary>The best number of rows to compute at once.</summary>
    /// <param name="rows">Rows of a product.</param>
    public static int RowsAtOnce(int rows)
    {
        var atOnce = MinRows;
        while (atOnce < rows && atOnce < MaxRows)
            atOnce *= 2;
        return atOnce;
    }

    /// <summary>The tiling with enough blocks for all multiprocessors, and enough data in flight to hide the memory's latency.</summary>
    /// <param name="rows">Rows of a product.</param>
    /// <param name="outputs">Rows of the matrix.</param>
    /// <param name="inputs">Columns of the matrix.</param>
    /// <param name="products">Number of products at once, of experts.</param>
    /// <param name="fp8">Whether elements are 8-bit floats.</param>
    /// <param name="multiprocessors">Number of multiprocessors of the card.</param>
    public static WarpgroupTiling Of(int rows, int outputs, int inputs, int products, bool fp8, int multiprocessors)
    {
        var rowsAtOnce = RowsAtOnce(rows);
        if (rows > MaxRows)
            return new(rowsAtOnce, 2, 1, 4, 1);
        var blocks = new WarpgroupTiling(rowsAtOnce, 1, 1, 1, 1).Blocks(outputs) * products;
        var splits = products > 1 ? 1 : SplitsOf(rowsAtOnce, blocks, inputs * (fp8 ? 1 : 2) / ChunkBytes, multiprocessors);
        // Blocks of a multiprocessor share its memory. Few blocks are all resident at once. Clusters of four or more blocks need room to
        // spare, since each cluster lies within one part of the chip.
        var perMultiprocessor = ((blocks * splits) + multiprocessors - 1) / multiprocessors;
        var wanted = splits > 2 ? perMultiprocessor + 1 : perMultiprocessor > MaxResident ? MaxResident - 1 : perMultiprocessor;
        var deep = wanted == 1 || (wanted <= 3 && perMultiprocessor <= 2 && rowsAtOnce <= 32) ? 2 : 1;
        var tiling = new WarpgroupTiling(rowsAtOnce, 1, rowsAtOnce == MaxRows ? 1 : deep, MinStages, splits);
        var resident = Math.Clamp(Registers / (tiling.Threads * tiling.RegistersOfThread), 1, wanted);
        var stages = ((MaxSharedBytes / resident) - SharedBytesOfSystem - Alignment) / tiling.StageBytes;
        return tiling with { Stages = Math.Clamp(stages, MinStages, MaxStages) };
    }

    // With two blocks on a multiprocessor, one computes while the other waits. A split that reads little costs more than it gains. Measured
    // on an H200.
    private static int SplitsOf(int rowsAtOnce, int blocks, int chunks, int multiprocessors)
    {
        var minChunks = rowsAtOnce == MinRows ? 7 : 28;
        var splits = 1;
        while (splits < MaxSplits && 2 * splits * blocks <= 2 * multiprocessors && chunks / (2 * splits) >= minChunks)
            splits *= 2;
        return splits;
    }

    /// <summary>Other tilings that fit the same product, for measurements.</summary>
    /// <param name="hasSplits">Whether blocks may share the inputs of an output.</param>
    public IEnumerable<WarpgroupTiling> Alternatives(bool hasSplits)
    {
        var rows = Rows;
        foreach (var cut in
            from groups in (int[])[1, 2] from deep in (int[])[1, 2] from stages in (int[])[3, 4, 6, 8]
            from splits in (int[])[1, 2, 4, 8] select new WarpgroupTiling(rows, groups, deep, stages, splits))
        {
            if (cut.SharedBytes <= MaxSharedBytes && (hasSplits || cut.Splits == 1) && (Rows < MaxRows || cut.Deep == 1)
                && cut.SumBytes <= cut.SharedBytes - Alignment)
            {
                yield return cut;
            }
        }
    }

    /// <summary>The macros that compile the kernel for this tiling.</summary>
    /// <param name="type">Type of outputs, 16 bits wide, and of inputs unless they are 8-bit floats.</param>
    /// <param name="fp8">Whether both operands are 8-bit floats.</param>
    /// <param name="gated">Whether pairs of results become silu(gate) · up.</param>
    /// <param name="add">Whether results are added to the output.</param>
    /// <param name="rows">Where rows come from and go to, as the kernel numbers it.</param>
    public string Defines(ScalarType type, bool fp8, bool gated, bool add, TokenPermutation rows) =>
        $"{KernelCompiler.TypeMacro(type)} FP8={(fp8 ? 1 : 0)} NR={Rows} GROUPS={Groups} DEEP={Deep} STAGES={Stages} SPLITS={Splits} MIN_BLOCKS={MinBlocks} "
        + $"GATED={(gated ? 1 : 0)} ADD={(add ? 1 : 0)} ROWS={(int)rows}";
}
