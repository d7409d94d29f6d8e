using static TorchSharp.torch;

namespace LocalLlm.Ops.Cuda;

/// <summary>What <c>gemv.cu</c> does with a product before writing it.</summary>
internal enum GemvEpilogue
{
    None,
    Add,
    Gated,
    Rotary,
}

/// <summary>The tiling of a matrix–vector product.</summary>
/// <param name="Outputs">Rows of the matrix that a block owns; even.</param>
/// <param name="Threads">Threads of a block; a multiple of 32.</param>
/// <param name="Depth">16-byte loads in flight, for each row and thread.</param>
internal readonly record struct GemvTiling(int Outputs, int Threads, int Depth)
{
    // 16-byte packs of a row.
    private const int ShortRow = 256;
    private const int MediumRow = 1024;
    private const int LongRow = 2048;

    /// <summary>
    /// The tiling that made a whole decode step fastest on an H200, in a sweep over the shapes of distilled models of 1.5B and 7B. Short
    /// rows need few threads, to give each of them work, and all loads in flight before the previous kernel has ended.
    /// </summary>
    public static GemvTiling Of(LinearRole role, int packs) => (role, packs) switch
    {
        (LinearRole.Qkv, < ShortRow) => new(2, 128, 2),
        (LinearRole.GateUp, < ShortRow) => new(4, 96, 1),
        (LinearRole.Head, < ShortRow) => new(2, 96, 1),
        (_, < ShortRow) => new(4, 128, 2),
        (LinearRole.Qkv, < MediumRow) => new(4, 96, 2),
        (LinearRole.GateUp or LinearRole.Head, < MediumRow) => new(2, 64, 4),
        (_, < MediumRow) => new(4, 64, 4),
        (_, < LongRow) => new(4, 192, 3),
        _ => new(4, 256, 2),
    };

    /// <summary>The macros that compile the kernel for this tiling.</summary>
    public string Defines(ScalarType type, int rows, int packs, bool norm, GemvEpilogue epilogue, int headDim) =>
        $"{KernelCompiler.TypeMacro(type)} ROWS={rows} OUTPUTS={Outputs} THREADS={Threads} DEPTH={Depth} PACKS={packs} NORM={(norm ? 1 : 0)} "
        + $"ADD={(epilogue == GemvEpilogue.Add ? 1 : 0)} GATED={(epilogue == GemvEpilogue.Gated ? 1 : 0)} ROTARY={(epilogue == GemvEpilogue.Rotary ? 1 : 0)} HEAD_DIM={headDim}";
}
