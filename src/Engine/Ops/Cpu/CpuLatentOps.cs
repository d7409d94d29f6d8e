using LocalLlm.Interop;
using static TorchSharp.torch;

namespace LocalLlm.Ops.Cpu;

/// <summary>
/// Latent attention on the CPU, absorbed, in float32 whatever the type of the activations. A row's result is the same bits alone and in any
/// batch.
/// </summary>
internal sealed unsafe class CpuLatentOps : ILatentOps, IDisposable
{
    private const int PanelWidth = HeadMatmulKernel<float, Float32Element>.PanelWidth;

    // Fewer multiply-adds than this take less time than waking a second thread.
    private const long MinWorkPerThread = 500_000;

    // Query rows that share a block: many for its sake, few where threads would have nothing to do.
    private const int MaxRowsPerTile = 32;
    private const int MinRowsPerTile = 8;

    private readonly NativeBuffer<LatentTile> _tiles = new();
    private readonly NativeBuffer<int> _nextItem = new();

    /// <inheritdoc/>
    public LatentWeight Pack(Tensor projection, LatentAttentionShape shape)
    {
        using var scope = NewDisposeScope();
        var heads = projection.view(shape.Heads, shape.PlainDim + shape.ValueDim, shape.Rank);
        return new(
            Panels(heads.narrow(1, 0, shape.PlainDim).transpose(1, 2)).DetachFromDisposeScope(),
            Panels(heads.narrow(1, shape.PlainDim, shape.ValueDim)).DetachFromDisposeScope());
    }

    /// <inheritdoc/>
    public void RotateAndStore(
        Tensor queries, Tensor rows, int column, Tensor normWeight, float epsilon, RotaryTable rotary, KvLayerCache cache,
        AttentionMetadata metadata, LatentAttentionShape shape)
    {
        switch (queries.dtype == ScalarType.Float32, cache.IsScaled)
        {
            case (true, false):
                RotateAndStore<float, Float32Element, float, Float32Element>(queries, rows, column, normWeight, epsilon, rotary, cache, metadata, shape);
                break;
            case (true, true):
                RotateAndStore<float, Float32Element, byte, Float8Element>(queries, rows, column, normWeight, epsilon, rotary, cache, metadata, shape);
                break;
            case (false, false):
                RotateAndStore<ushort, BFloat16Element, ushort, BFloat16Element>(queries, rows, column, normWeight, epsilon, rotary, cache, metadata, shape);
                break;
            default:
                RotateAndStore<ushort, BFloat16Element, byte, Float8Element>(queries, rows, column, normWeight, epsilon, rotary, cache, metadata, shape);
                break;
        }
    }

    /// <inheritdoc/>
    public Tensor Attention(Tensor queries, LatentWeight weight, KvLayerCache cache, AttentionMetadata metadata, LatentAttentionShape shape)
    {
        long tokens = metadata.TokenCount;
        var wide = queries.to(ScalarType.Float32);
        using var absorbed = empty([tokens, shape.Heads, shape.Rank], ScalarType.Float32);
        using var mixed = empty([tokens, shape.Heads, shape.Rank], ScalarType.Float32);
        var output = empty([tokens, (long)shape.Heads * shape.ValueDim], ScalarType.Float32);
        if (queries.dtype == ScalarType.Float32)
        {
            Multiply<float, Float32Element>(wide, shape.QueryDim, weight.Keys, absorbed, shape.PlainDim, shape);
            Attend(wide, absorbed, mixed, cache, metadata, shape);
            Multiply<float, Float32Element>(mixed, shape.Rank, weight.Values, output, shape.Rank, shape);
            return output;
        }

        Multiply<ushort, BFloat16Element>(wide, shape.QueryDim, weight.Keys, absorbed, shape.PlainDim, shape);
        Attend(wide, absorbed, mixed, cache, metadata, shape);
        Multiply<ushort, BFloat16Element>(mixed, shape.Rank, weight.Values, output, shape.Rank, shape);
        return output.to(queries.dtype);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _tiles.Dispose();
        _nextItem.Dispose();
    }

    // [heads, out, in] → [heads, ceil(out / 32), in, 32]
    private static Tensor Panels(Tensor matrices)
    {
        var (heads, outputs, inputs) = (matrices.size(0), matrices.size(1), matrices.size(2));
        var panels = (outputs + PanelWidth - 1) / PanelWidth;
        var padded = nn.functional.pad(matrices, [0, 0, 0, (panels * PanelWidth) - outputs]);
        return empty([heads, panels, inputs, PanelWidth], matrices.dtype).copy_(padded.reshape(heads, panels, PanelWidth, inputs).transpose(2, 3));
    }

    private static void RotateAndStore<T, TElement, TCache, TCacheElement>(
        Tensor queries, Tensor rows, int column, Tensor normWeight, float epsilon, RotaryTable rotary, KvLayerCache cache,
        AttentionMetadata metadata, LatentAttentionShape shape)
        where T : unmanaged
        where TElement : struct, IElement<T>
        where TCache : unmanaged
        where TCacheElement : struct, ICacheElement<TCache>
    {
        var kernel = new LatentRowKernel<T, TElement, TCache, TCacheElement>
        {
            Queries = (T*)queries.DataPointer(),
            Source = (T*)rows.DataPointer() + column,
            SourceStride = rows.size(1),
            NormWeight = (T*)normWeight.DataPointer(),
            Cache = (TCache*)cache.Tensors[0].DataPointer(),
            Scales = ScalesOf(cache),
            Cos = (float*)rotary.Cos.DataPointer(),
            Sin = (float*)rotary.Sin.DataPointer(),
            Rows = metadata.PositionRows.Pointer,
            Slots = metadata.SlotMapping.Pointer,
            Heads = shape.Heads,
            Rank = shape.Rank,
            PlainDim = shape.PlainDim,
            RotaryDim = shape.RotaryDim,
            Interleaved = shape.Interleaved,
            Epsilon = epsilon,
        };
        const int costPerElement = 4;
        CpuParallel.For(kernel, metadata.TokenCount, Grain(costPerElement * ((shape.Heads * shape.RotaryDim) + shape.RowWidth)));
    }

    // x [tokens, heads · stride], of which the first inputs of each head are read → [tokens, heads, out]
    private static void Multiply<T, TElement>(Tensor x, long headStride, Tensor panels, Tensor output, int inputs, LatentAttentionShape shape)
        where T : unmanaged
        where TElement : struct, IElement<T>
    {
        var (tokens, outputs) = ((int)x.size(0), (int)(output.NumberOfElements / (x.size(0) * shape.Heads)));
        var kernel = new HeadMatmulKernel<T, TElement>
        {
            Input = (float*)x.DataPointer(),
            InputRowStride = headStride * shape.Heads,
            InputHeadStride = headStride,
            Panels = (T*)panels.DataPointer(),
            Output = (float*)output.DataPointer(),
            Rows = tokens,
            Heads = shape.Heads,
            InFeatures = inputs,
            OutFeatures = outputs,
        };
        var items = (long)shape.Heads * ((outputs + PanelWidth - 1) / PanelWidth);
        CpuParallel.For(kernel, items, Grain((long)tokens * inputs * PanelWidth));
    }

    private static byte* ScalesOf(KvLayerCache cache) => cache.IsScaled ? (byte*)cache.Scales[0].DataPointer() : null;

    private void Attend(
        Tensor queries, Tensor absorbed, Tensor mixed, KvLayerCache cache, AttentionMetadata metadata, LatentAttentionShape shape)
    {
        if (cache.IsScaled)
            Attend<byte, Float8Element>(queries, absorbed, mixed, cache, metadata, shape);
        else if (cache.Tensors[0].dtype == ScalarType.Float32)
            Attend<float, Float32Element>(queries, absorbed, mixed, cache, metadata, shape);
        else
            Attend<ushort, BFloat16Element>(queries, absorbed, mixed, cache, metadata, shape);
    }

    private void Attend<T, TElement>(
        Tensor queries, Tensor absorbed, Tensor mixed, KvLayerCache cache, AttentionMetadata metadata, LatentAttentionShape shape)
        where T : unmanaged
        where TElement : struct, ICacheElement<T>
    {
        var (work, rows) = PlanTiles(metadata, shape);
        _nextItem.Resize(1);
        _nextItem.Span[0] = 0;
        var kernel = new LatentAttentionKernel<T, TElement>
        {
            Absorbed = (float*)absorbed.DataPointer(),
            Queries = (float*)queries.DataPointer(),
            Output = (float*)mixed.DataPointer(),
            Cache = (T*)cache.Tensors[0].DataPointer(),
            Scales = ScalesOf(cache),
            Tiles = _tiles.Pointer,
            Sequences = metadata.Sequences.Pointer,
            BlockTables = metadata.BlockTables.Pointer,
            NextItem = _nextItem.Pointer,
            ItemCount = _tiles.Count,
            RowCapacity = rows,
            Heads = shape.Heads,
            Rank = shape.Rank,
            PlainDim = shape.PlainDim,
            RotaryDim = shape.RotaryDim,
            Scale = shape.Scale,
        };
        CpuParallel.For(kernel, Math.Clamp(work / MinWorkPerThread, 1, CpuParallel.ThreadCount), grain: 1);
    }

    // Cuts every sequence's rows. Returns multiply-adds, and the rows of a piece.
    private (long Work, int Rows) PlanTiles(AttentionMetadata metadata, LatentAttentionShape shape)
    {
        long work = 0;
        var sequences = metadata.Sequences.Span;
        foreach (var sequence in sequences)
            work += (long)sequence.TokenCount * sequence.ContextLength * shape.Heads * (shape.RowWidth + shape.Rank);
        var all = (long)metadata.TokenCount * shape.Heads;
        var rows = all / MaxRowsPerTile >= 2L * CpuParallel.ThreadCount ? MaxRowsPerTile : MinRowsPerTile;
        _tiles.Clear();
        for (var s = 0; s < sequences.Length; s++)
        {
            var count = sequences[s].TokenCount * shape.Heads;
            for (var first = 0; first < count; first += rows)
                _tiles.Add(new(s, first, Math.Min(rows, count - first)));
        }

        return (work, rows);
    }

    private static long Grain(long workPerItem) => Math.Max(1, MinWorkPerThread / Math.Max(1, workPerItem));
}
