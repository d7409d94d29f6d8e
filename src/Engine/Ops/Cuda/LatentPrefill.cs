using static TorchSharp.torch;

namespace LocalLlm.Ops.Cuda;

/// <summary>
/// Latent attention of sequences with many rows. Expands the keys and values of their whole context, some heads at a time, for libtorch's
/// flash attention, or for cuDNN's if a long sequence has nothing before it. That takes a third of the absorbed form's multiplications,
/// which makes up for the expansion from about 200 rows on.
/// </summary>
internal sealed class LatentPrefill(CudaDevice device, KernelCompiler kernels, CudaWorkspace workspace, StepInputs inputs)
{
    // Bytes of expanded keys, and as many of values: bounds the number of heads that are expanded at once.
    private const long MaxExpandedBytes = 256L << 20;
    private const int GatherThreads = 128;

    private readonly RotatedKeys _rotated = new(kernels);
    private readonly WholePrompt _whole = new(workspace, MaxExpandedBytes, new(kernels));
    private readonly Dictionary<(ScalarType Type, LatentAttentionShape Shape), bool> _hasCudnn = [];

    /// <summary>Whether flash attention supports these heads, with values as wide as keys.</summary>
    public bool Takes(ScalarType type, LatentAttentionShape shape) =>
        FlashAttention.Takes(device, type, shape.QueryDim) && shape.ValueDim <= shape.QueryDim;

    /// <summary>Allocates room for a context of <paramref name="maxModelLen"/> positions.</summary>
    public void Reserve(KvLayerSpec layer, ScalarType type, int maxModelLen)
    {
        var elements = MaxExpandedBytes / type.ElementSize();
        workspace.Reserve(WorkspaceSlot.Keys, elements, type);
        workspace.Reserve(WorkspaceSlot.Values, elements, type);
        var positions = (long)Math.Max(maxModelLen, StepInputs.MaxRunContext);
        workspace.Reserve(WorkspaceSlot.LatentContext, positions * layer.Tensors[0].Width, type);
    }

    /// <summary>The attention of a run that is the whole step, if the result needs no copy.</summary>
    /// <inheritdoc cref="Forward"/>
    /// <returns>[rows, heads · value_dim], a new tensor; null: nothing was done.</returns>
    public Tensor? TryForward(Tensor queries, LatentWeight weight, KvLayerCache cache, PrefillRun run, LatentAttentionShape shape)
    {
        if (run.Tokens != queries.size(0) || !IsWhole(run, queries.dtype, shape) || !_whole.TakesAll(queries, shape))
            return null;
        using var scope = NewDisposeScope();
        return _whole.ForwardAll(queries, weight, Gather(cache, run, shape, queries.dtype), shape).MoveToOuterDisposeScope();
    }

    /// <summary>Writes the attention of a run's rows.</summary>
    /// <param name="queries">[rows, heads · query_dim], rotated.</param>
    /// <param name="weight">Keys as [heads, rank, plain_dim], values as [heads, value_dim, rank].</param>
    /// <param name="cache">The rows of all positions, including those of the run.</param>
    /// <param name="run">The sequences.</param>
    /// <param name="shape">Sizes of the layer on this rank.</param>
    /// <param name="output">[rows, heads · value_dim].</param>
    public void Forward(Tensor queries, LatentWeight weight, KvLayerCache cache, PrefillRun run, LatentAttentionShape shape, Tensor output)
    {
        using var scope = NewDisposeScope();
        var context = Gather(cache, run, shape, queries.dtype);
        if (IsWhole(run, queries.dtype, shape))
        {
            _whole.Forward(queries.narrow(0, run.FirstToken, run.Tokens), weight, context, shape, output.narrow(0, run.FirstToken, run.Tokens));
            return;
        }

        var latent = context.narrow(1, 0, shape.Rank); // [positions, rank]
        var starts = inputs.ContextStarts(run);
        var perHead = (long)run.Context * shape.QueryDim * queries.dtype.ElementSize();
        var headsAtOnce = (int)Math.Clamp(MaxExpandedBytes / perHead, 1, shape.Heads);
        for (var first = 0; first < shape.Heads; first += headsAtOnce)
        {
            using var inner = NewDisposeScope();
            var heads = Math.Min(headsAtOnce, shape.Heads - first);
            var keys = Expanded(WorkspaceSlot.Keys, heads, run.Context, shape, queries.dtype);
            var expanded = latent.unsqueeze(0).expand(heads, -1, -1);
            HeadProducts.Multiply(expanded, weight.Keys.narrow(0, first, heads), keys.narrow(2, 0, shape.PlainDim));
            _rotated.Spread(context, keys, shape);
            var values = Expanded(WorkspaceSlot.Values, heads, run.Context, shape, queries.dtype);
            HeadProducts.Multiply(expanded, weight.Values.narrow(0, first, heads).transpose(1, 2), values.narrow(2, 0, shape.ValueDim));
            values.narrow(2, shape.ValueDim, shape.QueryDim - shape.ValueDim).zero_();
            var attended = FlashAttention.Forward(
                Heads(queries, run, first, heads, shape.QueryDim), keys.transpose(0, 1), values.transpose(0, 1), inputs.QueryStarts(run), starts,
                run.LongestQuery, run.LongestContext, shape.Scale, window: null); // [rows, heads, query_dim]
            Heads(output, run, first, heads, shape.ValueDim).copy_(attended.narrow(2, 0, shape.ValueDim));
        }
    }

    // Whether the run is one sequence with nothing before it that is long enough.
    private bool IsWhole(PrefillRun run, ScalarType type, LatentAttentionShape shape) =>
        run.Sequences == 1 && run.Context == run.Tokens && run.Tokens >= WholePrompt.MinRows && HasCudnn(type, shape);

    private bool HasCudnn(ScalarType type, LatentAttentionShape shape)
    {
        if (device.ComputeCapability < CudaDevice.Hopper)
            return false;
        if (!_hasCudnn.TryGetValue((type, shape), out var known))
            _hasCudnn.Add((type, shape), known = CudnnAttention.Try(type, shape, device.Torch));
        return known;
    }

    // The rows of all positions of the run's sequences, one after the other, in the type of the computation: [positions, width].
    private Tensor Gather(KvLayerCache cache, PrefillRun run, LatentAttentionShape shape, ScalarType type)
    {
        var rows = workspace.Rent(WorkspaceSlot.LatentContext, run.Context, shape.RowWidth, type);
        var (source, grid) = (cache.Tensors[0], (run.LongestContext, run.Sequences, 1));
        // The kernels copy keys and values; here both arguments are the same rows.
        if (cache.IsScaled)
        {
            const int heads = 1;
            var scales = cache.Scales[0];
            kernels.Get(CudaAttention.Float8CacheSource, "gatherWidened", KernelCompiler.TypeMacro(type)).Launch(grid, GatherThreads, [
                source, source, scales, scales, rows, rows, inputs.ContextStarts(run), inputs.SequenceTableStarts(run), inputs.BlockTables,
                heads, shape.RowWidth,
            ]);
        }
        else
        {
            kernels.Get("elementwise.cu", "gatherCache", KernelCompiler.TypeMacro(type)).Launch(grid, GatherThreads, [
                source, source, rows, rows, inputs.ContextStarts(run), inputs.SequenceTableStarts(run), inputs.BlockTables, shape.RowWidth,
            ]);
        }

        return rows;
    }

    private Tensor Expanded(WorkspaceSlot slot, long heads, long positions, LatentAttentionShape shape, ScalarType type) =>
        workspace.Rent(slot, heads * positions, shape.QueryDim, type).view(heads, positions, shape.QueryDim);

    // Some heads of the run's rows: [rows, heads, head_dim].
    private static Tensor Heads(Tensor matrix, PrefillRun run, int first, int heads, int headDim)
    {
        var width = matrix.size(1);
        return matrix.narrow(0, run.FirstToken, run.Tokens).view(run.Tokens, width / headDim, headDim).narrow(1, first, heads);
    }
}
