using static TorchSharp.torch;

namespace LocalLlm.Ops.Cuda;

/// <summary>
/// Attention over a paged cache: <see cref="PagedAttention"/> for single rows; for many rows of a sequence in a 16-bit type, libtorch's
/// flash attention or, before Ampere, <see cref="ChunkedAttention"/>. The latter two read keys and values that were gathered from their
/// blocks, and widened if those hold 8-bit floats. Each row reads even its own key back from the cache: so results do not depend on how the
/// prompt is cut into chunks.
/// </summary>
internal sealed class CudaAttention(CudaDevice device, KernelCompiler kernels, CudaWorkspace workspace, StepInputs inputs)
{
    /// <summary>Source of the kernels that store 8-bit floats in a cache and gather them from it.</summary>
    public const string Float8CacheSource = "float8.cu float8_cache.cu";

    private readonly PagedAttention _paged = new(device, kernels, workspace, inputs);

    /// <summary>Allocates room for split rows, and for what prefills of up to <paramref name="maxModelLen"/> positions gather.</summary>
    public void Reserve(KvLayerSpec layer, ScalarType type, int maxModelLen)
    {
        var (kvHeads, headDim) = layer.Tensors[0];
        if (layer.Layout != KvLayout.Device)
            return;
        _paged.Reserve(headDim);
        if (!TakesRuns(type, headDim))
            return;
        var positions = Math.Max(maxModelLen, StepInputs.MaxRunContext);
        workspace.Reserve(WorkspaceSlot.Keys, (long)positions * kvHeads * headDim, type);
        workspace.Reserve(WorkspaceSlot.Values, (long)positions * kvHeads * headDim, type);
    }

    /// <summary>[rows, qkv width] → [rows, heads · head_dim].</summary>
    public Tensor Forward(Tensor qkv, KvLayerCache cache, AttentionMetadata metadata, AttentionShape shape)
    {
        var output = workspace.Rent(WorkspaceSlot.Attention, qkv.size(0), shape.Heads * shape.HeadDim, qkv.dtype);
        if (inputs.Runs.Count == 0 || !TakesRuns(qkv.dtype, shape.HeadDim))
        {
            _paged.Forward(qkv, (int)qkv.size(0), cache, metadata.LongestContext, shape, output, inputs.ContextLengths);
            return output;
        }

        if (inputs.ShortRowsEnd > 0)
            _paged.Forward(qkv, inputs.ShortRowsEnd, cache, metadata.LongestContext, shape, output, inputs.ShortContextLengths);
        foreach (var run in inputs.Runs)
        {
            using var scope = NewDisposeScope();
            var contextStarts = inputs.ContextStarts(run);
            var (keys, values) = Context(qkv, cache, run, contextStarts, shape);
            if (HasFlash)
                Heads(output, run.FirstToken, run.Tokens, 0, shape.Heads, shape).copy_(Flash(qkv, keys, values, run, contextStarts, shape));
            else
                Chunked(qkv, keys, values, run, metadata, shape, output);
        }

        return output;
    }

    private bool HasFlash => device.ComputeCapability >= CudaDevice.Ampere;

    private bool TakesRuns(ScalarType type, int headDim) => HasFlash ? FlashAttention.Takes(device, type, headDim) : type != ScalarType.Float32;

    // [tokens, heads, head_dim]
    private Tensor Flash(Tensor qkv, Tensor keys, Tensor values, PrefillRun run, Tensor contextStarts, AttentionShape shape) => FlashAttention.Forward(
        Heads(qkv, run.FirstToken, run.Tokens, 0, shape.Heads, shape), keys, values, inputs.QueryStarts(run), contextStarts, run.LongestQuery,
        run.LongestContext, shape.Scale, shape.SlidingWindow);

    private static void Chunked(Tensor qkv, Tensor keys, Tensor values, PrefillRun run, AttentionMetadata metadata, AttentionShape shape, Tensor output)
    {
        var position = 0;
        foreach (var sequence in metadata.Sequences.Span)
        {
            if (sequence.FirstToken < run.FirstToken || sequence.FirstToken >= run.FirstToken + run.Tokens)
                continue;
            ChunkedAttention.Forward(
                Heads(qkv, sequence.FirstToken, sequence.TokenCount, 0, shape.Heads, shape), keys.narrow(0, position, sequence.ContextLength),
                values.narrow(0, position, sequence.ContextLength), shape, Heads(output, sequence.FirstToken, sequence.TokenCount, 0, shape.Heads, shape));
            position += sequence.ContextLength;
        }
    }

    // Keys and values of all positions of the run's sequences. If nothing was cached before, they are beside the queries.
    private (Tensor Keys, Tensor Values) Context(Tensor qkv, KvLayerCache cache, PrefillRun run, Tensor contextStarts, AttentionShape shape) =>
        run.Context == run.Tokens && !cache.IsScaled
            ? (Heads(qkv, run.FirstToken, run.Tokens, shape.KeyOffset, shape.KvHeads, shape), Heads(qkv, run.FirstToken, run.Tokens, shape.ValueOffset, shape.KvHeads, shape))
            : Gather(cache, run, contextStarts, shape, qkv.dtype);

    // Keys and values of all positions, one sequence of the run after the other: [positions, kv_heads, head_dim].
    private (Tensor Keys, Tensor Values) Gather(KvLayerCache cache, PrefillRun run, Tensor contextStarts, AttentionShape shape, ScalarType type)
    {
        const int threads = 128;
        var width = shape.KvHeads * shape.HeadDim;
        var keys = workspace.Rent(WorkspaceSlot.Keys, run.Context, width, type);
        var values = workspace.Rent(WorkspaceSlot.Values, run.Context, width, type);
        var grid = (run.LongestContext, run.Sequences, 1);
        if (cache.IsScaled)
        {
            kernels.Get(Float8CacheSource, "gatherWidened", KernelCompiler.TypeMacro(type)).Launch(grid, threads, [
                cache.Keys, cache.Values, cache.KeyScales, cache.ValueScales, keys, values, contextStarts, inputs.SequenceTableStarts(run),
                inputs.BlockTables, shape.KvHeads, shape.HeadDim,
            ]);
        }
        else
        {
            kernels.Get("elementwise.cu", "gatherCache", KernelCompiler.TypeMacro(type)).Launch(grid, threads, [
                cache.Keys, cache.Values, keys, values, contextStarts, inputs.SequenceTableStarts(run), inputs.BlockTables, width,
            ]);
        }

        return (Heads(keys, 0, run.Context, 0, shape.KvHeads, shape), Heads(values, 0, run.Context, 0, shape.KvHeads, shape));
    }

    // Some rows and adjacent heads of a matrix, as one view: [rows, heads, head_dim].
    private static Tensor Heads(Tensor matrix, int firstRow, int rows, int firstColumn, int heads, AttentionShape shape)
    {
        var width = matrix.stride(0);
        return matrix.as_strided([rows, heads, shape.HeadDim], [width, shape.HeadDim, 1], matrix.storage_offset() + (firstRow * width) + firstColumn);
    }
}
