using static TorchSharp.torch;

namespace LocalLlm.Ops.Cuda;

/// <summary>
/// Latent attention on a GPU, absorbed. Our own kernels compute 16-bit types with widths that suit tensor cores, plain tensor operations
/// the rest. Contexts are split into parts ("Flash-Decoding", Dao et al., 2023). A second kernel joins the parts; for few rows on Hopper,
/// the first kernel does (<see cref="LatentClusters"/>). Kernels widen a cache of 8-bit floats as they read it.
/// </summary>
internal sealed class CudaLatentOps(
    CudaDevice device, KernelCompiler kernels, CudaWorkspace workspace, StepInputs inputs, SkinnyProduct skinny, WarpgroupProducts products,
    Func<RotaryTable, RotaryTable> onDevice)
    : ILatentOps
{
    /// <summary>Source of the kernel that normalises, rotates and stores; with CACHE_FP8 it stores 8-bit floats.</summary>
    public const string StoreSource = "float8.cu latent.cu";

    /// <summary>The kernel on tensor cores of single warps.</summary>
    public const string AttentionSource = "tensor_core.cu latent_cut.cu latent_operands.cu latent_cluster.cu latent_attention.cu";

    /// <summary>The same over a cache of 8-bit floats.</summary>
    public const string Float8Source = "tensor_core.cu float8.cu latent_cut.cu latent_operands8.cu latent_cluster.cu latent_attention.cu";

    /// <summary>The kernel on warpgroups.</summary>
    public const string WideSource =
        "tensor_core.cu warpgroup.cu barriers.cu latent_wide_cut.cu warpgroup_packs.cu latent_wide_products.cu latent_wide_rows.cu "
        + "latent_wide_weights.cu latent_attention_wide.cu";

    /// <summary>The same over a cache of 8-bit floats.</summary>
    public const string WideFloat8Source =
        "tensor_core.cu float8.cu warpgroup.cu barriers.cu latent_wide_cut.cu warpgroup_packs.cu latent_wide_products.cu latent_wide_rows8.cu "
        + "latent_wide_weights.cu latent_attention_wide.cu";

    private const int StoreThreads = 128;
    private const int MaxSpreadTokens = 8;
    private const int WarpSize = 32;
    private const int MaxSplits = 64; // latentJoin has a warp for them
    private const int WideHeads = 64;
    private const int WideThreads = 384; // one warpgroup loads tiles, two multiply
    private const int WideTile = 64;

    // Bounds the memory of absorbed rows: 64 MiB for 128 heads of rank 512, twice.
    private const int MaxAbsorbedRows = 512;

    /// <summary>The tiling of <c>latent_attention.cu</c>; only measurements set it.</summary>
    internal LatentTiling Cut { get; set; } = LatentTiling.Default;

    /// <summary>The tiling for a cache of 8-bit floats; only measurements set it.</summary>
    internal LatentTiling Float8Cut { get; set; } = LatentTiling.DefaultFloat8;

    private readonly TorchLatentOps _plain = new(device.Torch);

    /// <summary>Attention of few rows; only measurements change it.</summary>
    internal LatentClusters Clusters { get; } = new(device, kernels, workspace, inputs);

    private readonly LatentPrefill _prefill = new(device, kernels, workspace, inputs);

    /// <summary>Allocates room for split rows, and for what prefills of up to <paramref name="maxModelLen"/> positions expand.</summary>
    public void Reserve(KvLayerSpec layer, ScalarType type, int maxModelLen)
    {
        if (layer.Tensors.Count != 1 || type == ScalarType.Float32)
            return;
        var blocks = Math.Max(Cut.BlocksPerMultiprocessor, Float8Cut.BlocksPerMultiprocessor);
        var heads = Math.Max(WideHeads, blocks * LatentTiling.HeadsOfBlock);
        workspace.Reserve(WorkspaceSlot.Partials, (long)heads * device.Multiprocessors * (layer.Tensors[0].Width + 2), ScalarType.Float32);
        workspace.Reserve(WorkspaceSlot.Counters, device.Multiprocessors, ScalarType.Int32);
        _prefill.Reserve(layer, type, maxModelLen);
    }

    /// <inheritdoc/>
    public int MaxRecordedRows(ScalarType type, LatentAttentionShape shape) => Takes(type, shape) ? SkinnyTiling.MaxRows : 0;

    /// <inheritdoc/>
    /// <remarks>The projection to keys becomes [heads, rank, plain_dim], which makes a query's inputs adjacent.</remarks>
    public LatentWeight Pack(Tensor projection, LatentAttentionShape shape)
    {
        using var scope = NewDisposeScope();
        var heads = projection.to(device.Torch).view(shape.Heads, shape.PlainDim + shape.ValueDim, shape.Rank);
        return new(
            heads.narrow(1, 0, shape.PlainDim).transpose(1, 2).contiguous().clone().DetachFromDisposeScope(),
            heads.narrow(1, shape.PlainDim, shape.ValueDim).clone().DetachFromDisposeScope());
    }

    /// <inheritdoc/>
    public void RotateAndStore(
        Tensor queries, Tensor rows, int column, Tensor normWeight, float epsilon, RotaryTable rotary, KvLayerCache cache,
        AttentionMetadata metadata, LatentAttentionShape shape)
    {
        var table = onDevice(rotary);
        // For few tokens, one thread for each pair.
        var tokens = (int)queries.size(0);
        var headBlocks = Math.Max(1, shape.Heads * shape.RotaryDim / 2 / ((tokens <= MaxSpreadTokens ? 1 : 8) * StoreThreads));
        var defines = $"{KernelCompiler.TypeMacro(queries.dtype)} {LatentTiling.Sizes(shape)} INTERLEAVED={(shape.Interleaved ? 1 : 0)} "
            + $"CACHE_FP8={(cache.IsScaled ? 1 : 0)}";
        kernels.Get(StoreSource, "rotateAndStore", defines).Launch(
            (tokens, 1 + headBlocks, 1),
            StoreThreads,
            [
                queries, rows, (int)rows.stride(0), column, normWeight, epsilon, table.Cos, table.Sin, inputs.RotaryRows, inputs.Slots, cache.Tensors[0],
                Scales(cache), shape.Heads,
            ]);
    }

    /// <inheritdoc/>
    public Tensor Attention(Tensor queries, LatentWeight weight, KvLayerCache cache, AttentionMetadata metadata, LatentAttentionShape shape)
    {
        if (!Takes(queries.dtype, shape))
        {
            using var keys = weight.Keys.transpose(1, 2);
            using var plain = new LatentWeight(keys.contiguous(), weight.Values.alias());
            return _plain.Attention(queries, plain, cache, metadata, shape);
        }

        // Rented in any case: the steps that measure memory then include it.
        var output = workspace.Rent(WorkspaceSlot.Attention, queries.size(0), (long)shape.Heads * shape.ValueDim, queries.dtype);
        if (inputs.Runs.Count == 0 || !_prefill.Takes(queries.dtype, shape))
        {
            var rows = (int)queries.size(0);
            for (var first = 0; first < rows; first += MaxAbsorbedRows)
                Absorbed(queries, first, rows, weight, cache, inputs.ContextLengths, metadata.LongestContext, shape, output);
            return output;
        }

        // Also when memory is measured, with a step that may consist of a prompt only.
        var room = Math.Min(queries.size(0), MaxAbsorbedRows) * shape.Heads * shape.Rank;
        workspace.Reserve(WorkspaceSlot.Absorbed, room, queries.dtype);
        workspace.Reserve(WorkspaceSlot.Mixed, room, queries.dtype);
        for (var first = 0; first < inputs.ShortRowsEnd; first += MaxAbsorbedRows)
        {
            if (!inputs.HasShortRows(first, first + MaxAbsorbedRows))
                continue;
            Absorbed(
                queries, first, inputs.ShortRowsEnd, weight, cache, inputs.ShortContextLengths, metadata.LongestContext, shape, output);
        }

        if (inputs.Runs.Count == 1 && _prefill.TryForward(queries, weight, cache, inputs.Runs[0], shape) is { } attended)
        {
            output.Dispose();
            return attended;
        }

        foreach (var run in inputs.Runs)
            _prefill.Forward(queries, weight, cache, run, shape, output);
        return output;
    }

    private static bool Takes(ScalarType type, LatentAttentionShape shape) =>
        type != ScalarType.Float32 && shape.Rank % 64 == 0 && shape.RotaryDim % 16 == 0 && shape.PlainDim % 8 == 0;

    private static Tensor? Scales(KvLayerCache cache) => cache.IsScaled ? cache.Scales[0] : null;

    // Absorbed attention of some rows of a step, up to the row end.
    private void Absorbed(
        Tensor allQueries, int first, int end, LatentWeight weight, KvLayerCache cache, ulong contextLengths, int longestContext,
        LatentAttentionShape shape, Tensor allOutput)
    {
        var rows = Math.Min(MaxAbsorbedRows, end - first);
        var skipped = (ulong)first * sizeof(int);
        using var queries = allQueries.narrow(0, first, rows);
        using var output = allOutput.narrow(0, first, rows);
        using var absorbed = workspace.Rent(WorkspaceSlot.Absorbed, rows, (long)shape.Heads * shape.Rank, queries.dtype);
        using var mixed = workspace.Rent(WorkspaceSlot.Mixed, rows, (long)shape.Heads * shape.Rank, queries.dtype);
        MultiplyHeads(queries, shape.QueryDim, weight.Keys, absorbed);
        Attend(absorbed, queries, cache, mixed, contextLengths + skipped, inputs.TableStarts + skipped, longestContext, shape);
        MultiplyHeads(mixed, shape.Rank, weight.Values, output);
    }

    // y[:, h] = x[:, h] · W[h]ᵀ, where a head's inputs are the first ones of its stride.
    private void MultiplyHeads(Tensor x, int xHead, Tensor weights, Tensor y)
    {
        var (rows, heads, outputs, width) = (x.size(0), weights.size(0), weights.size(1), weights.size(2));
        if (products.Takes(x.dtype, (int)width))
        {
            products.MultiplyHeads(x, xHead, weights, y);
            return;
        }

        if (SkinnyProduct.Takes(x.dtype, rows, (int)width, fp8: false))
        {
            skinny.MultiplyHeads(x, xHead, weights, y);
            return;
        }

        using var scope = NewDisposeScope();
        var perHead = x.view(rows, heads, xHead).narrow(2, 0, width).transpose(0, 1); // [heads, rows, in]
        y.view(rows, heads, outputs).copy_(matmul(perHead, weights.transpose(1, 2)).transpose(0, 1));
    }

    private void Attend(
        Tensor absorbed, Tensor queries, KvLayerCache cache, Tensor mixed, ulong contextLengths, ulong tableStarts, int longestContext,
        LatentAttentionShape shape)
    {
        if (Clusters.TryAttend(absorbed, queries, cache, mixed, contextLengths, tableStarts, longestContext, shape))
            return;
        var rows = (int)queries.size(0);
        var isWide = TakesWide(shape);
        var cut = cache.IsScaled ? Float8Cut : Cut;
        var (headsOfBlock, minShare) = isWide ? (WideHeads, 2 * WideTile) : (LatentTiling.HeadsOfBlock, cut.Tile);
        var headBlocks = (shape.Heads + headsOfBlock - 1) / headsOfBlock;
        var maxBlocks = (isWide ? 1 : cut.BlocksPerMultiprocessor) * device.Multiprocessors;
        var splits = Math.Clamp(Math.Min(maxBlocks / (rows * headBlocks), (longestContext + minShare - 1) / minShare), 1, MaxSplits);
        // On Hopper, a block that has a multiprocessor to itself has room for one more tile.
        if (device.ComputeCapability == CudaDevice.Hopper && rows * headBlocks * splits <= device.Multiprocessors)
            cut = cut with { Stages = cut.Stages + 1 };
        // Always the max size of any split: the buffer must never move.
        using var partials = splits > 1
            ? workspace.Rent(WorkspaceSlot.Partials, (long)maxBlocks * headsOfBlock, shape.Rank + 2, ScalarType.Float32) : null;
        var defines = cut.Defines(queries.dtype, shape);
        var source = cache.IsScaled ? Float8Source : AttentionSource;
        var kernel = isWide
            ? kernels.Get(cache.IsScaled ? WideFloat8Source : WideSource, "latentAttentionWide", defines)
            : kernels.Get(source, "latentAttention", defines);
        kernel.Launch(
            (rows, headBlocks, splits),
            isWide ? WideThreads : cut.Threads,
            [
                absorbed, queries, cache.Tensors[0], Scales(cache), mixed, partials, contextLengths, tableStarts, inputs.BlockTables,
                shape.Heads, (float)(shape.Scale * LatentTiling.Log2E), 0ul, 0,
            ],
            isWide ? WideSharedBytes(shape) : cut.SharedBytes(shape, cache.IsScaled));
        if (splits > 1)
        {
            kernels.Get(source, "latentJoin", defines).Launch(
                (rows, shape.Heads, 1), Math.Max(WarpSize, shape.Rank / 4), [partials, mixed, shape.Heads, splits]);
        }
    }

    // The plain queries, two tiles and their weights, two numbers for each head and group, eight barriers, and the alignment of all of it.
    private static int WideSharedBytes(LatentAttentionShape shape) =>
        (WideHeads * shape.Rank * 2) + (2 * WideTile * shape.RowWidth * 2) + (2 * WideTile * WideHeads * 2)
            + (2 * 2 * WideHeads * sizeof(float)) + (8 * sizeof(ulong)) + 1024;

    // With this many heads, attention is bound by arithmetic.
    private bool TakesWide(LatentAttentionShape shape) =>
        device.ComputeCapability == CudaDevice.Hopper && shape is { Rank: 512, RotaryDim: 64, Heads: >= WideHeads };
}
