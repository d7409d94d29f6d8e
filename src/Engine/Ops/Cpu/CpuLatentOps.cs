using LocalLlm.Interop;
using static TorchSharp.torch;

namespace LocalLlm.Ops.Cpu;

/// <summary>
/// Latent attention on the CPU, computed in float32 whatever the type of the activations. With float32 activations it is always absorbed,
/// and a row's result has the same bits alone and in any batch. With bfloat16 activations, sequences with many new tokens are expanded
/// (<see cref="ExpandedAttention"/>).
/// </summary>
/// <param name="batchInvariant">Whether bfloat16 results have the same bits in any batch too: nothing is expanded then.</param>
internal sealed unsafe class CpuLatentOps(bool batchInvariant = false) : ILatentOps, IDisposable
{
    private const int PanelWidth = HeadMatmulKernel<float, Float32Element>.PanelWidth;

    // Fewer multiply-adds than this take less time than waking a second thread.
    private const long MinWorkPerThread = 500_000;

    // Max number of query rows that share the load of a block; fewer if threads would have nothing to do.
    private const int MaxRowsPerTile = 32;
    private const int MinRowsPerTile = 8;

    private readonly NativeBuffer<LatentTile> _tiles = new();
    private readonly NativeBuffer<int> _nextItem = new();
    private readonly ExpandedAttention _expanded = new();

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
    public Tensor Attention(Tensor queries, LatentWeight weight, KvLayerCache cache, AttentionMetadata metadata, LatentAttentionShape shape) =>
        Attention(queries, weight, cache, metadata, shape, batchInvariant || queries.dtype == ScalarType.Float32 ? null : span => ExpandedAttention.Pays(span, shape));

    /// <summary>As <see cref="ILatentOps.Attention"/>; the caller chooses the sequences that are expanded. Null: none.</summary>
    public Tensor Attention(
        Tensor queries, LatentWeight weight, KvLayerCache cache, AttentionMetadata metadata, LatentAttentionShape shape, Func<SequenceSpan, bool>? expands)
    {
        var wide = queries.to(ScalarType.Float32);
        var output = empty([metadata.TokenCount, (long)shape.Heads * shape.ValueDim], queries.dtype);
        var sequences = metadata.Sequences.Span;
        // Adjacent sequences of one kind, absorbed or expanded, are computed together.
        for (var first = 0; first < sequences.Length;)
        {
            var isExpanded = expands?.Invoke(sequences[first]) == true;
            var last = first + 1;
            while (last < sequences.Length && !isExpanded && expands?.Invoke(sequences[last]) != true)
                last++;
            using var scope = NewDisposeScope();
            if (isExpanded)
                _expanded.Attend(wide, output, weight, cache, sequences[first], metadata, shape);
            else
                Absorb(wide, output, weight, cache, first..last, metadata, shape);
            first = last;
        }

        return output;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _tiles.Dispose();
        _nextItem.Dispose();
        _expanded.Dispose();
    }

    private void Absorb(
        Tensor wide, Tensor output, LatentWeight weight, KvLayerCache cache, Range run, AttentionMetadata metadata, LatentAttentionShape shape)
    {
        var (first, last) = (metadata.Sequences.Span[run.Start], metadata.Sequences.Span[run.End.Value - 1]);
        long tokens = last.FirstToken + last.TokenCount - first.FirstToken;
        var queries = wide.narrow(0, first.FirstToken, tokens);
        var absorbed = empty([tokens, shape.Heads, shape.Rank], ScalarType.Float32);
        var mixed = empty([tokens, shape.Heads, shape.Rank], ScalarType.Float32);
        var isWide = output.dtype == ScalarType.Float32;
        var target = output.narrow(0, first.FirstToken, tokens);
        var values = isWide ? target : empty([tokens, (long)shape.Heads * shape.ValueDim], ScalarType.Float32);
        Multiply(queries, shape.QueryDim, weight.Keys, absorbed, shape.PlainDim, shape);
        Attend(queries, absorbed, mixed, cache, run, metadata, shape);
        Multiply(mixed, shape.Rank, weight.Values, values, shape.Rank, shape);
        if (!isWide)
            target.copy_(values);
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

    private static void Multiply(Tensor x, long headStride, Tensor panels, Tensor output, int inputs, LatentAttentionShape shape)
    {
        if (panels.dtype == ScalarType.Float32)
            Multiply<float, Float32Element>(x, headStride, panels, output, inputs, shape);
        else
            Multiply<ushort, BFloat16Element>(x, headStride, panels, output, inputs, shape);
    }

    // x [tokens, heads · stride] → [tokens, heads, out]; reads only the first inputs of each head
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
        Tensor queries, Tensor absorbed, Tensor mixed, KvLayerCache cache, Range run, AttentionMetadata metadata, LatentAttentionShape shape)
    {
        if (cache.IsScaled)
            Attend<byte, Float8Element>(queries, absorbed, mixed, cache, run, metadata, shape);
        else if (cache.Tensors[0].dtype == ScalarType.Float32)
            Attend<float, Float32Element>(queries, absorbed, mixed, cache, run, metadata, shape);
        else
            Attend<ushort, BFloat16Element>(queries, absorbed, mixed, cache, run, metadata, shape);
    }

    private void Attend<T, TElement>(
        Tensor queries, Tensor absorbed, Tensor mixed, KvLayerCache cache, Range run, AttentionMetadata metadata, LatentAttentionShape shape)
        where T : unmanaged
        where TElement : struct, ICacheElement<T>
    {
        var (work, rows) = PlanTiles(metadata.Sequences.Span[run], shape);
        // These tensors hold only the run's rows, but sequences give their rows in the step: shift the pointers.
        long skipped = metadata.Sequences.Span[run.Start].FirstToken * shape.Heads;
        _nextItem.Resize(1);
        _nextItem.Span[0] = 0;
        var kernel = new LatentAttentionKernel<T, TElement>
        {
            Absorbed = (float*)absorbed.DataPointer() - (skipped * shape.Rank),
            Queries = (float*)queries.DataPointer() - (skipped * shape.QueryDim),
            Output = (float*)mixed.DataPointer() - (skipped * shape.Rank),
            Cache = (T*)cache.Tensors[0].DataPointer(),
            Scales = ScalesOf(cache),
            Tiles = _tiles.Pointer,
            Sequences = metadata.Sequences.Pointer + run.Start.Value,
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

    // Cuts every sequence's rows into pieces. Returns multiply-adds, and the rows of a piece.
    private (long Work, int Rows) PlanTiles(ReadOnlySpan<SequenceSpan> sequences, LatentAttentionShape shape)
    {
        long work = 0, all = 0;
        foreach (var sequence in sequences)
        {
            work += (long)sequence.TokenCount * sequence.ContextLength * shape.Heads * (shape.RowWidth + shape.Rank);
            all += (long)sequence.TokenCount * shape.Heads;
        }

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
