using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace LocalLlm.Ops.Cpu;

/// <summary>One piece of attention work: adjacent tokens of one sequence.</summary>
/// <param name="Sequence">Index into the step's sequences.</param>
/// <param name="FirstToken">First token, counted from the sequence's first token in this step.</param>
/// <param name="TokenCount">Number of tokens of the piece.</param>
internal readonly record struct AttentionTile(int Sequence, int FirstToken, int TokenCount);

/// <summary>
/// Attention over paged blocks with an online softmax (Milakov and Gimelshein, 2018; as in FlashAttention), block after
/// block from the sequence's start. Every query row goes through the same additions in the same order whatever else is in
/// the tile, so chunking and batching do not change a bit of the result.
/// Cache layout: keys [blocks, kv_heads, head_dim, 16], values [blocks, kv_heads, 16, padded head_dim].
/// </summary>
internal unsafe struct PagedAttentionKernel<T, TElement, TCache, TCacheElement> : IRangeKernel
    where T : unmanaged
    where TElement : struct, IElement<T>
    where TCache : unmanaged
    where TCacheElement : struct, ICacheElement<TCache>
{
    private const int BlockSize = AttentionMetadata.BlockSize;
    private const int RowGroup = 4;

    /// <summary>[tokens, qkv width].</summary>
    public T* Qkv;

    /// <summary>[tokens, heads · head_dim].</summary>
    public T* Output;

    public TCache* Keys;
    public TCache* Values;

    /// <summary>[blocks, kv_heads, 16] if the cache has scales.</summary>
    public byte* KeyScales;

    /// <summary>[blocks, kv_heads, 16] if the cache has scales.</summary>
    public byte* ValueScales;

    public AttentionTile* Tiles;
    public SequenceSpan* Sequences;
    public int* BlockTables;

    /// <summary>Next item to take. Threads share it to balance long and short items.</summary>
    public int* NextItem;

    public int ItemCount;

    /// <summary>Query rows (tokens × heads of one kv head) of the largest item, a multiple of 4.</summary>
    public int RowCapacity;

    public int Heads;
    public int KvHeads;
    public int HeadDim;
    public int PaddedHeadDim;
    public int Window;
    public float Scale;

    /// <summary>The range is one index per thread; the work itself comes from <see cref="NextItem"/>.</summary>
    public readonly void Run(long begin, long end)
    {
        var group = Heads / KvHeads;
        var floats = ((long)RowCapacity * (HeadDim + PaddedHeadDim + BlockSize + 2)) + (TCacheElement.IsScaled ? BlockSize * (HeadDim + PaddedHeadDim) : 0);
        var scratch = (float*)NativeMemory.AlignedAlloc((nuint)floats * sizeof(float), 64);
        try
        {
            for (var item = Take(); item < ItemCount; item = Take())
                RunItem(Tiles[item / KvHeads], item % KvHeads, group, scratch);
        }
        finally
        {
            NativeMemory.AlignedFree(scratch);
        }
    }

    private readonly int Take() => Interlocked.Increment(ref *NextItem) - 1;

    private readonly void RunItem(AttentionTile tile, int kvHead, int group, float* scratch)
    {
        var sequence = Sequences[tile.Sequence];
        var rows = tile.TokenCount * group;
        var paddedRows = (rows + RowGroup - 1) / RowGroup * RowGroup;
        var widened = scratch;                              // a scaled block's keys [head_dim, 16] and values [16, padded head_dim]
        var query = widened + (TCacheElement.IsScaled ? BlockSize * (HeadDim + PaddedHeadDim) : 0); // [rows, head_dim]
        var accumulated = query + (RowCapacity * HeadDim);      // [rows, padded head_dim]
        var scores = accumulated + (RowCapacity * PaddedHeadDim); // [rows, 16]
        var maxima = scores + (RowCapacity * BlockSize);        // [rows]
        var sums = maxima + RowCapacity;                        // [rows]

        LoadQueries(sequence, tile, kvHead, group, query, rows, paddedRows);
        new Span<float>(accumulated, rows * PaddedHeadDim).Clear();
        new Span<float>(maxima, rows).Fill(float.NegativeInfinity);
        new Span<float>(sums, rows).Clear();

        var firstPosition = sequence.ContextLength - sequence.TokenCount + tile.FirstToken;
        var lastPosition = firstPosition + tile.TokenCount - 1;
        var firstVisible = Math.Max(0, firstPosition - Window + 1);
        for (var block = firstVisible / BlockSize; block <= lastPosition / BlockSize; block++)
        {
            var blockHead = ((long)BlockTables[sequence.BlockTableStart + block] * KvHeads) + kvHead;
            if (TCacheElement.IsScaled)
            {
                Widen(blockHead, Math.Min(BlockSize, lastPosition + 1 - (block * BlockSize)), widened, widened + (BlockSize * HeadDim));
                Scores<float, Float32Element>(query, paddedRows, widened, scores);
            }
            else
                Scores<TCache, TCacheElement>(query, paddedRows, Keys + (blockHead * HeadDim * BlockSize), scores);

            for (var row = 0; row < rows; row++)
            {
                var position = firstPosition + (row / group);
                var from = Math.Max(0, position - Window + 1 - (block * BlockSize));
                var to = Math.Min(BlockSize, position + 1 - (block * BlockSize));
                if (from >= to)
                    continue;
                var rowScores = scores + (row * BlockSize);
                var rowAccumulated = accumulated + (row * PaddedHeadDim);
                if (TCacheElement.IsScaled)
                    Accumulate<float, Float32Element>(rowScores, widened + (BlockSize * HeadDim), from, to, ref maxima[row], ref sums[row], rowAccumulated);
                else
                    Accumulate<TCache, TCacheElement>(rowScores, Values + (blockHead * BlockSize * PaddedHeadDim), from, to, ref maxima[row], ref sums[row], rowAccumulated);
            }
        }

        StoreOutputs(sequence, tile, kvHead, group, accumulated, sums, rows);
    }

    private readonly void LoadQueries(SequenceSpan sequence, AttentionTile tile, int kvHead, int group, float* query, int rows, int paddedRows)
    {
        var width = (long)(Heads + (2 * KvHeads)) * HeadDim;
        for (var row = 0; row < rows; row++)
        {
            var token = sequence.FirstToken + tile.FirstToken + (row / group);
            var source = Qkv + (token * width) + ((((long)kvHead * group) + (row % group)) * HeadDim);
            for (var d = 0; d < HeadDim; d++)
                query[(row * HeadDim) + d] = TElement.ToSingle(source[d]) * Scale;
        }

        new Span<float>(query + (rows * HeadDim), (paddedRows - rows) * HeadDim).Clear();
    }

    // Widens a block of a kv head, once for all rows. Takes values only of the first positions: the rest has never been written.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private readonly void Widen(long blockHead, int positions, float* keys, float* values)
    {
        var source = Keys + (blockHead * HeadDim * BlockSize);
        var scales = Float8Rows.Scales(KeyScales + (blockHead * BlockSize));
        for (var d = 0; d < HeadDim; d++)
            (TCacheElement.Load(source + (d * BlockSize)) * scales).Store(keys + (d * BlockSize));
        source = Values + (blockHead * BlockSize * PaddedHeadDim);
        for (var position = 0; position < positions; position++, source += PaddedHeadDim, values += PaddedHeadDim)
        {
            var scale = Vector512.Create(Float8Row.Value(ValueScales[(blockHead * BlockSize) + position]));
            for (var d = 0; d < PaddedHeadDim; d += Vector512<float>.Count)
                (TCacheElement.Load(source + d) * scale).Store(values + d);
        }
    }

    // scores[row, 16] = Σ_d query[row, d] · keys[d, 16]; 16 positions are the lanes.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private readonly void Scores<TKey, TKeyElement>(float* query, int paddedRows, TKey* keys, float* scores)
        where TKey : unmanaged
        where TKeyElement : struct, IElement<TKey>
    {
        for (var row = 0; row < paddedRows; row += RowGroup)
        {
            var q0 = query + (row * HeadDim);
            var q1 = q0 + HeadDim;
            var q2 = q1 + HeadDim;
            var q3 = q2 + HeadDim;
            var s0 = Vector512<float>.Zero;
            var s1 = s0;
            var s2 = s0;
            var s3 = s0;
            for (var d = 0; d < HeadDim; d++)
            {
                var key = TKeyElement.Load(keys + (d * BlockSize));
                s0 = Vector512.FusedMultiplyAdd(Vector512.Create(q0[d]), key, s0);
                s1 = Vector512.FusedMultiplyAdd(Vector512.Create(q1[d]), key, s1);
                s2 = Vector512.FusedMultiplyAdd(Vector512.Create(q2[d]), key, s2);
                s3 = Vector512.FusedMultiplyAdd(Vector512.Create(q3[d]), key, s3);
            }

            s0.Store(scores + (row * BlockSize));
            s1.Store(scores + ((row + 1) * BlockSize));
            s2.Store(scores + ((row + 2) * BlockSize));
            s3.Store(scores + ((row + 3) * BlockSize));
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private readonly void Accumulate<TValue, TValueElement>(float* scores, TValue* values, int from, int to, ref float maximum, ref float sum, float* accumulated)
        where TValue : unmanaged
        where TValueElement : struct, IElement<TValue>
    {
        var lanes = Vector512<int>.Indices;
        var visible = (Vector512.GreaterThanOrEqual(lanes, Vector512.Create(from)) & Vector512.LessThan(lanes, Vector512.Create(to))).AsSingle();
        var score = Vector512.ConditionalSelect(visible, Vector512.Load(scores), Vector512.Create(float.NegativeInfinity));
        var newMaximum = MathF.Max(maximum, VectorMax.Across(score));
        var weights = Vector512.ConditionalSelect(visible, VectorExp.Exp(score - Vector512.Create(newMaximum)), Vector512<float>.Zero);
        if (newMaximum != maximum)
        {
            // Zero at the first block, where nothing has been accumulated yet.
            var shrink = MathF.Exp(maximum - newMaximum);
            sum *= shrink;
            for (var d = 0; d < PaddedHeadDim; d += Vector512<float>.Count)
                (Vector512.Load(accumulated + d) * shrink).Store(accumulated + d);
            maximum = newMaximum;
        }

        sum += Vector512.Sum(weights);
        weights.Store(scores);
        var column = 0;
        for (; column + (4 * Vector512<float>.Count) <= PaddedHeadDim; column += 4 * Vector512<float>.Count)
            MixFour<TValue, TValueElement>(scores, values + column, from, to, accumulated + column);
        for (; column < PaddedHeadDim; column += Vector512<float>.Count)
        {
            var mixed = Vector512.Load(accumulated + column);
            for (var j = from; j < to; j++)
                mixed = Vector512.FusedMultiplyAdd(Vector512.Create(scores[j]), TValueElement.Load(values + (j * PaddedHeadDim) + column), mixed);
            mixed.Store(accumulated + column);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private readonly void MixFour<TValue, TValueElement>(float* weights, TValue* values, int from, int to, float* accumulated)
        where TValue : unmanaged
        where TValueElement : struct, IElement<TValue>
    {
        var a0 = Vector512.Load(accumulated);
        var a1 = Vector512.Load(accumulated + 16);
        var a2 = Vector512.Load(accumulated + 32);
        var a3 = Vector512.Load(accumulated + 48);
        for (var j = from; j < to; j++)
        {
            var weight = Vector512.Create(weights[j]);
            var value = values + (j * PaddedHeadDim);
            a0 = Vector512.FusedMultiplyAdd(weight, TValueElement.Load(value), a0);
            a1 = Vector512.FusedMultiplyAdd(weight, TValueElement.Load(value + 16), a1);
            a2 = Vector512.FusedMultiplyAdd(weight, TValueElement.Load(value + 32), a2);
            a3 = Vector512.FusedMultiplyAdd(weight, TValueElement.Load(value + 48), a3);
        }

        a0.Store(accumulated);
        a1.Store(accumulated + 16);
        a2.Store(accumulated + 32);
        a3.Store(accumulated + 48);
    }

    private readonly void StoreOutputs(SequenceSpan sequence, AttentionTile tile, int kvHead, int group, float* accumulated, float* sums, int rows)
    {
        for (var row = 0; row < rows; row++)
        {
            var token = sequence.FirstToken + tile.FirstToken + (row / group);
            var target = Output + ((((long)token * Heads) + (kvHead * group) + (row % group)) * HeadDim);
            var scale = 1 / sums[row];
            for (var d = 0; d < HeadDim; d++)
                target[d] = TElement.FromSingle(accumulated[(row * PaddedHeadDim) + d] * scale);
        }
    }
}
