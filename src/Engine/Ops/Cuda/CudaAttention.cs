using static TorchSharp.torch;

namespace LocalLlm.Ops.Cuda;

/// <summary>
/// Attention over a paged cache: own split kernel for single rows, libtorch's flash attention where a sequence brings many rows in a
/// 16-bit type. Rows of a step that flash attention serves read keys and values that were gathered out of their blocks.
/// </summary>
internal sealed class CudaAttention(CudaDevice device, KernelCompiler kernels, CudaWorkspace workspace, StepInputs inputs)
{
    private const int WarpSize = 32;
    private const int FewWarps = 4;
    private const int SharedMemoryBytes = 40 << 10;
    private const int MostHeadsPerBlock = 8;
    private const int MostSplits = 32;

    // Positions a block takes at least, so that splitting pays.
    private const int LeastShare = 64;

    // Blocks on the card, for each multiprocessor, that a split aims at.
    private const int BlocksPerMultiprocessor = 12;
    private const int MostFlashHeadDim = 256;
    private const double Log2E = 1.4426950408889634;

    /// <summary>Makes room for what prefills of up to <paramref name="maxModelLen"/> positions gather.</summary>
    public void Reserve(AttentionShape shape, ScalarType type, int maxModelLen)
    {
        if (!TakesFlash(type, shape))
            return;
        var positions = Math.Max(maxModelLen, StepInputs.MostRunContext);
        workspace.Rent(WorkspaceSlot.Keys, positions, shape.KvHeads * shape.HeadDim, type).Dispose();
        workspace.Rent(WorkspaceSlot.Values, positions, shape.KvHeads * shape.HeadDim, type).Dispose();
    }

    /// <summary>[rows, qkv width] → [rows, heads · head_dim].</summary>
    public Tensor Forward(Tensor qkv, KvLayerCache cache, AttentionMetadata metadata, AttentionShape shape)
    {
        var output = workspace.Rent(WorkspaceSlot.Attention, qkv.size(0), shape.Heads * shape.HeadDim, qkv.dtype);
        if (inputs.Runs.Count == 0 || !TakesFlash(qkv.dtype, shape))
        {
            Paged(qkv, cache, metadata, shape, output, inputs.ContextLengths);
            return output;
        }

        if (inputs.HasShortRows)
            Paged(qkv, cache, metadata, shape, output, inputs.ShortContextLengths);
        foreach (var run in inputs.Runs)
        {
            using var scope = NewDisposeScope();
            output.narrow(0, run.FirstToken, run.Tokens).copy_(Flash(qkv.narrow(0, run.FirstToken, run.Tokens), cache, run, shape));
        }

        return output;
    }

    private static bool TakesFlash(ScalarType type, AttentionShape shape) =>
        type != ScalarType.Float32 && shape.HeadDim % 8 == 0 && shape.HeadDim <= MostFlashHeadDim;

    private void Paged(Tensor qkv, KvLayerCache cache, AttentionMetadata metadata, AttentionShape shape, Tensor output, ulong contextLengths)
    {
        var rows = (int)qkv.size(0);
        var perKvHead = shape.Heads / shape.KvHeads;
        var headsPerBlock = Math.Min(perKvHead, Math.Clamp(SharedMemoryBytes / (FewWarps * shape.HeadDim * sizeof(float)), 1, MostHeadsPerBlock));
        var headBlocks = shape.KvHeads * ((perKvHead + headsPerBlock - 1) / headsPerBlock);
        var splits = Splits(rows * headBlocks, metadata.LongestContext);
        // Always the most that any split takes, so that the buffers never move.
        var mostBlocks = BlocksPerMultiprocessor * device.Multiprocessors;
        using var partials = splits > 1 ? workspace.Rent(WorkspaceSlot.Partials, mostBlocks * headsPerBlock, shape.HeadDim + 2, ScalarType.Float32) : null;
        using var counters = splits > 1 ? workspace.Rent(WorkspaceSlot.Counters, mostBlocks, 1, ScalarType.Int32) : null;

        var elementSize = (int)qkv.dtype.ElementSize();
        var vector = Vector(shape.HeadDim, 16 / elementSize);
        var lanes = Lanes((shape.HeadDim + vector - 1) / vector);
        var warps = Warps(rows * headBlocks, headsPerBlock * shape.HeadDim);
        kernels.Get("attention.cu", "pagedAttention", $"{KernelCompiler.TypeMacro(qkv.dtype)} HEAD_DIM={shape.HeadDim} HEADS_PER_BLOCK={headsPerBlock} VECTOR={vector} LANES={lanes} WARPS={warps} LEAST_SHARE={LeastShare}").Launch(
            (rows, headBlocks, splits),
            warps * WarpSize,
            [qkv, cache.Keys, cache.Values, output, partials, counters, contextLengths, inputs.TableStarts, inputs.BlockTables, shape.QkvWidth, shape.Heads, shape.KvHeads, (float)(shape.Scale * Log2E), shape.SlidingWindow ?? 0]);
    }

    // Few blocks are made quicker by more warps in each, as far as shared memory holds a result of every warp.
    private int Warps(int blocks, int elements)
    {
        const int many = 8;
        return blocks < device.Multiprocessors && many * elements * sizeof(float) <= SharedMemoryBytes ? many : FewWarps;
    }

    private int Splits(int blocks, int longestContext)
    {
        var wanted = BlocksPerMultiprocessor * device.Multiprocessors / blocks;
        return Math.Clamp(Math.Min(wanted, (longestContext + LeastShare - 1) / LeastShare), 1, MostSplits);
    }

    private Tensor Flash(Tensor qkv, KvLayerCache cache, PrefillRun run, AttentionShape shape)
    {
        const int gatherThreads = 128;
        long width = shape.KvHeads * shape.HeadDim;
        var contextStarts = inputs.ContextStarts(run);
        Tensor keys, values;
        if (run.Context == run.Tokens)
        {
            // Nothing is cached: keys and values stand beside the queries.
            keys = qkv.narrow(1, shape.KeyOffset, width);
            values = qkv.narrow(1, shape.ValueOffset, width);
        }
        else
        {
            keys = workspace.Rent(WorkspaceSlot.Keys, run.Context, width, qkv.dtype);
            values = workspace.Rent(WorkspaceSlot.Values, run.Context, width, qkv.dtype);
            kernels.Get("elementwise.cu", "gatherCache", KernelCompiler.TypeMacro(qkv.dtype)).Launch(
                (run.LongestContext, run.Sequences, 1),
                gatherThreads,
                [cache.Keys, cache.Values, keys, values, contextStarts, inputs.SequenceTableStarts(run), inputs.BlockTables, (int)width]);
        }

        return FlashAttention.Forward(
            qkv.narrow(1, 0, shape.KeyOffset).unflatten(1, [shape.Heads, shape.HeadDim]),
            keys.unflatten(1, [shape.KvHeads, shape.HeadDim]),
            values.unflatten(1, [shape.KvHeads, shape.HeadDim]),
            inputs.QueryStarts(run),
            contextStarts,
            run.LongestQuery,
            run.LongestContext,
            shape.Scale,
            shape.SlidingWindow).flatten(1); // [tokens, heads · head_dim]
    }

    // The widest access that divides a head.
    private static int Vector(int headDim, int widest)
    {
        while (headDim % widest != 0)
            widest /= 2;
        return widest;
    }

    private static int Lanes(int chunks)
    {
        var lanes = 1;
        while (lanes < chunks && lanes < 32)
            lanes *= 2;
        return lanes;
    }
}
