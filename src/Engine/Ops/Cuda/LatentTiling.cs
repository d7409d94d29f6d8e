using static TorchSharp.torch;

namespace LocalLlm.Ops.Cuda;

/// <summary>How <c>latent_attention.cu</c> is cut.</summary>
/// <param name="Tile">Positions of a tile: 16 or 32.</param>
/// <param name="Stages">Tiles on their way.</param>
/// <param name="BlocksPerMultiprocessor">Blocks that contexts are split into at most, for each multiprocessor.</param>
internal readonly record struct LatentTiling(int Tile, int Stages, int BlocksPerMultiprocessor)
{
    /// <summary>Heads of a block.</summary>
    public const int HeadsOfBlock = 16;

    /// <summary>Scores become powers of two.</summary>
    public const double Log2E = 1.4426950408889634;

    private const int Warps = 4;
    private const int WarpSize = 32;
    private const int BytesOfExchange = 16; // four scores of a thread, for each 8 positions

    /// <summary>What was best on an H200.</summary>
    public static LatentTiling Default { get; } = new(32, 2, 2);

    /// <summary>Over 8-bit floats, of which a tile takes half as much room.</summary>
    public static LatentTiling DefaultFloat8 { get; } = new(32, 3, 2);

    /// <summary>Groups of four warps in a block, each with its own positions: 1, or in clusters 2.</summary>
    public int Parts { get; init; } = 1;

    /// <summary>Blocks of a cluster, which join their results; 1: there are no clusters.</summary>
    public int Cluster { get; init; } = 1;

    /// <summary>Threads of a block.</summary>
    public int Threads => Parts * Warps * WarpSize;

    /// <summary>The macros of a layer's sizes.</summary>
    public static string Sizes(LatentAttentionShape shape) => $"RANK={shape.Rank} PLAIN={shape.PlainDim} ROTARY={shape.RotaryDim}";

    /// <summary>The macros that compile the kernel for this cut.</summary>
    /// <param name="type">Of queries and results, 16 bits wide.</param>
    /// <param name="shape">Sizes of the layer.</param>
    public string Defines(ScalarType type, LatentAttentionShape shape) =>
        $"{KernelCompiler.TypeMacro(type)} {Sizes(shape)} PARTS={Parts} CLUSTER={Cluster} TILE={Tile} STAGES={Stages}";

    /// <summary>Dynamic shared memory of a block, in bytes: tiles, with the scales of 8-bit floats, and what the warps exchange.</summary>
    public int SharedBytes(LatentAttentionShape shape, bool isFloat8) =>
        Parts * ((Stages * Tile * (isFloat8 ? shape.RowWidth + 32 + 1 : (shape.RowWidth + 8) * 2))
            + (Warps * (Tile / 8) * WarpSize * BytesOfExchange));
}
