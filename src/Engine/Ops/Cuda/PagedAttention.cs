using static TorchSharp.torch;

namespace LocalLlm.Ops.Cuda;

/// <summary>
/// Attention of single rows over a paged cache. Contexts are split into parts, so even few rows fill the card ("Flash-Decoding"). Runs on
/// tensor cores where type and head_dim allow it, else in float arithmetic. Kernels widen a cache of 8-bit floats as they read it.
/// </summary>
internal sealed class PagedAttention(CudaDevice device, KernelCompiler kernels, CudaWorkspace workspace, StepInputs inputs)
{
    /// <summary>The kernel on tensor cores.</summary>
    public const string TensorCoreSource = "tensor_core.cu attention.cu attention_operands.cu attention_mma.cu";

    /// <summary>The same over a cache of 8-bit floats.</summary>
    public const string Float8Source = "tensor_core.cu float8.cu attention.cu attention_operands8.cu attention_mma.cu";

    /// <summary>The kernel for any type and head_dim, over either cache.</summary>
    public const string LanesSource = "float8.cu attention.cu attention_lanes.cu";

    private const int WarpSize = 32;
    private const int SharedMemoryBytes = 40 << 10;
    private const int MaxHeadsPerBlock = 8;
    private const int MaxSplits = 32;

    // Warps of a multiprocessor for 8-bit floats. Widening takes instructions, which more warps issue in parallel; the registers have room
    // for this many.
    private const int Float8Warps = 16;

    // Max number of blocks per multiprocessor after a split; bounds the buffer of partial results.
    private const int BlocksPerMultiprocessor = 32;
    private const double Log2E = 1.4426950408889634;

    /// <summary>Allocates the buffers in which blocks that share a row exchange results: no step has to.</summary>
    public void Reserve(int headDim)
    {
        var blocks = (long)BlocksPerMultiprocessor * device.Multiprocessors;
        workspace.Reserve(WorkspaceSlot.Partials, blocks * MaxHeadsPerBlock * (headDim + 2), ScalarType.Float32);
        workspace.Reserve(WorkspaceSlot.Counters, blocks, ScalarType.Int32);
    }

    /// <summary>Writes the attention of the first <paramref name="rows"/> rows.</summary>
    /// <param name="qkv">[at least rows, qkv width].</param>
    /// <param name="rows">Rows to compute.</param>
    /// <param name="cache">Keys and values.</param>
    /// <param name="longestContext">Max number of positions that a row sees, or will see if the work is recorded.</param>
    /// <param name="shape">Sizes of the layer.</param>
    /// <param name="output">[at least rows, heads · head_dim]; 0 in rows whose context is empty.</param>
    /// <param name="contextLengths">[rows] int32 on the device: number of positions that each row sees.</param>
    public void Forward(Tensor qkv, int rows, KvLayerCache cache, int longestContext, AttentionShape shape, Tensor output, ulong contextLengths)
    {
        var perKvHead = shape.Heads / shape.KvHeads;
        var tensorCores = qkv.dtype != ScalarType.Float32 && shape.HeadDim is 64 or 128;
        var headsPerBlock = Math.Min(perKvHead, tensorCores ? MaxHeadsPerBlock : Math.Clamp(SharedMemoryBytes / (4 * shape.HeadDim * sizeof(float)), 1, MaxHeadsPerBlock));
        var headBlocks = shape.KvHeads * ((perKvHead + headsPerBlock - 1) / headsPerBlock);
        var (warps, minShare) = Cut(rows * headBlocks, tensorCores);
        while (warps * headsPerBlock * shape.HeadDim * sizeof(float) > SharedMemoryBytes)
            warps /= 2;

        // Always the max size of any split: the buffers must never move.
        var maxBlocks = BlocksPerMultiprocessor * device.Multiprocessors;
        var splits = Math.Clamp(Math.Min(maxBlocks / (rows * headBlocks), (longestContext + minShare - 1) / minShare), 1, MaxSplits);
        using var partials = splits > 1 ? workspace.Rent(WorkspaceSlot.Partials, maxBlocks * headsPerBlock, shape.HeadDim + 2, ScalarType.Float32) : null;
        using var counters = splits > 1 ? workspace.Rent(WorkspaceSlot.Counters, maxBlocks, 1, ScalarType.Int32) : null;
        var defines = $"{KernelCompiler.TypeMacro(qkv.dtype)} HEAD_DIM={shape.HeadDim} HEADS_PER_BLOCK={headsPerBlock} WARPS={warps} LEAST_SHARE={minShare} "
            + $"CACHE_FP8={(cache.IsScaled ? 1 : 0)} MIN_BLOCKS={(tensorCores && cache.IsScaled ? Float8Warps / warps : 1)}";
        var kernel = tensorCores
            ? kernels.Get(cache.IsScaled ? Float8Source : TensorCoreSource, "pagedAttention", defines)
            : kernels.Get(LanesSource, "pagedAttention", defines + LaneDefines(shape.HeadDim, (int)qkv.dtype.ElementSize()));
        kernel.Launch(
            (rows, headBlocks, splits),
            warps * WarpSize,
            [
                qkv, cache.Keys, cache.Values, cache.KeyScales, cache.ValueScales, output, partials, counters, contextLengths, inputs.TableStarts,
                inputs.BlockTables, shape.QkvWidth, shape.Heads, shape.KvHeads, (float)(shape.Scale * Log2E), shape.SlidingWindow ?? 0,
            ]);
    }

    // Measured on an H200: more warps and shorter parts speed few blocks up; many blocks fill the card as they are.
    private (int Warps, int MinShare) Cut(int blocks, bool tensorCores)
    {
        const int veryFew = 32;
        var few = blocks < device.Multiprocessors;
        return tensorCores
            ? (few ? 8 : 4, blocks <= veryFew ? 256 : 1024)
            : (few ? 8 : 4, few ? 64 : 512);
    }

    // The widest access that divides a head, and the number of lanes that hold a head with such accesses.
    private static string LaneDefines(int headDim, int elementSize)
    {
        var vector = 16 / elementSize;
        while (headDim % vector != 0)
            vector /= 2;
        var lanes = 1;
        while (lanes * vector < headDim && lanes < WarpSize)
            lanes *= 2;
        return $" VECTOR={vector} LANES={lanes}";
    }
}
