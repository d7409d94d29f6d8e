using static TorchSharp.torch;

namespace LocalLlm.Ops.Cuda;

/// <summary>The tiling of <c>latent_attention.cu</c>.</summary>
/// <param name="Tile">Positions of a tile: 16 or 32.</param>
/// <param name="Stages">Tiles in flight.</param>
/// <param name="BlocksPerMultiprocessor">Max number of blocks per multiprocessor that contexts are split into.</param>
internal readonly record struct LatentTiling(int Tile, int Stages, int BlocksPerMultiprocessor)
{
    /// <summary>Heads of a block.</summary>
    public const int HeadsOfBlock = 16;

    /// <summary>Factor that turns exponents of e into exponents of 2.</summary>
    public const double Log2E = 1.4426950408889634;

    private const int Warps = 4;
    private const int WarpSize = 32;
    private const int BytesOfExchange = 16; // four scores of a thread, for each 8 positions

    /// <summary>The best on an H200.</summary>
    public static LatentTiling Default { get; } = new(32, 2, 2);

    /// <summary>For a cache of 8-bit floats, whose tiles take half the memory.</summary>
    public static LatentTiling DefaultFloat8 { get; } = new(32, 3, 2);

    /// <summary>Groups of four warps in a block, each with its own positions: 1, or 2 in clusters.</summary>
    public int Parts { get; init; } = 1;

    /// <summary>Blocks of a cluster, which join their results; 1: no clusters.</summary>
    public int Cluster { get; init; } = 1;

    /// <summary>Threads of a block.</summary>
    public int Threads => Parts * Warps * WarpSize;

    /// <summary>The macros of a layer's sizes.</summary>
    public static string Sizes(LatentAttentionShape shape) => $"RANK={shape.Rank} PLAIN={shape.PlainDim} ROTARY={shape.RotaryDim}";

    /// <summary>The macros that compile the kernel for this tiling.</summary>
    /// <param name="type">Type of queries and results, 16 bits wide.</param>
    /// <param name="shape">Sizes of the layer.</param>
    public string Defines(ScalarType type, LatentAttentionShape shape) =>
        $"{KernelCompiler.TypeMacro(type)} {Sizes(shape)} PARTS={Parts} CLUSTER={Cluster} TILE={Tile} STAGES={Stages}";

    /// <summary>Dynamic shared memory of a block, in bytes: tiles, scales of 8-bit floats, and the data that warps exchange.</summary>
    public int SharedBytes(LatentAttentionShape shape, bool isFloat8) =>
        Parts * ((Stages * Tile * (isFloat8 ? shape.RowWidth + 32 + 1 : (shape.RowWidth + 8) * 2))
            + (Warps * (Tile / 8) * WarpSize * BytesOfExchange));
}
