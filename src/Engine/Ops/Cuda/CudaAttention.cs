using static TorchSharp.torch;

namespace LocalLlm.Ops.Cuda;

/// <summary>
/// Attention over a paged cache: <see cref="PagedAttention"/> for single rows, libtorch's flash attention where a sequence brings many rows in a
/// 16-bit type. Rows of a step that flash attention serves read keys and values that were gathered out of their blocks.
/// </summary>
internal sealed class CudaAttention(CudaDevice device, KernelCompiler kernels, CudaWorkspace workspace, StepInputs inputs)
{
    private const int MostFlashHeadDim = 256;
    private readonly PagedAttention _paged = new(device, kernels, workspace, inputs);

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
            _paged.Forward(qkv, (int)qkv.size(0), cache, metadata.LongestContext, shape, output, inputs.ContextLengths);
            return output;
        }

        if (inputs.ShortRowsEnd > 0)
            _paged.Forward(qkv, inputs.ShortRowsEnd, cache, metadata.LongestContext, shape, output, inputs.ShortContextLengths);
        foreach (var run in inputs.Runs)
        {
            using var scope = NewDisposeScope();
            output.narrow(0, run.FirstToken, run.Tokens).copy_(Flash(qkv.narrow(0, run.FirstToken, run.Tokens), cache, run, shape));
        }

        return output;
    }

    private static bool TakesFlash(ScalarType type, AttentionShape shape) =>
        type != ScalarType.Float32 && shape.HeadDim % 8 == 0 && shape.HeadDim <= MostFlashHeadDim;

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
}
