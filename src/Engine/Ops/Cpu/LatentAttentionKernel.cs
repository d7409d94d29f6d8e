using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace LocalLlm.Ops.Cpu;

/// <summary>One piece of latent attention: adjacent rows of one sequence. A row is a head of a token.</summary>
/// <param name="Sequence">Index into the step's sequences.</param>
/// <param name="FirstRow">token · heads + head, with tokens counted from the sequence's first token in this step.</param>
/// <param name="RowCount">Number of rows of the piece.</param>
internal readonly record struct LatentTile(int Sequence, int FirstRow, int RowCount);

/// <summary>
/// Absorbed latent attention over paged rows with an online softmax (Milakov and Gimelshein, 2018), block after block from the sequence's
/// start. All heads read the same rows: each block is widened to float32 once for all rows of a piece. Every query row goes through the
/// same additions in the same order whatever else is in the piece, so chunking and batching do not change a bit of the result.
/// </summary>
internal unsafe struct LatentAttentionKernel<T, TElement> : IRangeKernel
    where T : unmanaged
    where TElement : struct, ICacheElement<T>
{
    private const int BlockSize = AttentionMetadata.BlockSize;
    private const int RowGroup = 4;
    private const int Lanes = 16;

    /// <summary>[tokens, heads, rank] queries in the space of the latent vectors.</summary>
    public float* Absorbed;

    /// <summary>[tokens, heads, query_dim]; only the rotated part is read.</summary>
    public float* Queries;

    /// <summary>[tokens, heads, rank] attention over latent vectors.</summary>
    public float* Output;

    /// <summary>[blocks, 16, rank + rotary_dim].</summary>
    public T* Cache;

    /// <summary>[blocks, 16] if the cache has scales.</summary>
    public byte* Scales;

    public LatentTile* Tiles;
    public SequenceSpan* Sequences;
    public int* BlockTables;

    /// <summary>Next piece to take. Threads share it to balance long and short pieces.</summary>
    public int* NextItem;

    public int ItemCount;

    /// <summary>Rows of the largest piece, a multiple of 4.</summary>
    public int RowCapacity;

    public int Heads;
    public int Rank;
    public int PlainDim;
    public int RotaryDim;
    public float Scale;

    private readonly int Width => Rank + RotaryDim;

    private readonly int PaddedWidth => (Width + Lanes - 1) / Lanes * Lanes;

    private readonly int PaddedRank => (Rank + Lanes - 1) / Lanes * Lanes;

    /// <summary>The range is one index per thread; the work itself comes from <see cref="NextItem"/>.</summary>
    public readonly void Run(long begin, long end)
    {
        var floats = ((long)RowCapacity * (PaddedWidth + PaddedRank + BlockSize + 2)) + ((long)BlockSize * PaddedWidth);
        var scratch = (float*)NativeMemory.AlignedAlloc((nuint)floats * sizeof(float), 64);
        try
        {
            for (var item = Take(); item < ItemCount; item = Take())
                RunItem(Tiles[item], scratch);
        }
        finally
        {
            NativeMemory.AlignedFree(scratch);
        }
    }

    private readonly int Take() => Interlocked.Increment(ref *NextItem) - 1;

    private readonly void RunItem(LatentTile tile, float* scratch)
    {
        var sequence = Sequences[tile.Sequence];
        var paddedRows = (tile.RowCount + RowGroup - 1) / RowGroup * RowGroup;
        var block = scratch;                                     // [16, padded width]
        var query = block + (BlockSize * PaddedWidth);           // [rows, padded width]
        var accumulated = query + (RowCapacity * PaddedWidth);   // [rows, padded rank]
        var scores = accumulated + (RowCapacity * PaddedRank);   // [rows, 16]
        var maxima = scores + (RowCapacity * BlockSize);         // [rows]
        var sums = maxima + RowCapacity;                         // [rows]

        LoadQueries(sequence, tile, query, paddedRows);
        new Span<float>(accumulated, paddedRows * PaddedRank).Clear();
        new Span<float>(maxima, paddedRows).Fill(float.NegativeInfinity);
        new Span<float>(sums, paddedRows).Clear();

        var computed = sequence.ContextLength - sequence.TokenCount;
        var last = computed + ((tile.FirstRow + tile.RowCount - 1) / Heads); // position of the last row
        for (var first = 0; first <= last; first += BlockSize)
        {
            var positions = Math.Min(BlockSize, last + 1 - first);
            LoadBlock(BlockTables[sequence.BlockTableStart + (first / BlockSize)], positions, block);
            Scores(query, paddedRows, block, scores);
            for (var row = 0; row < paddedRows; row++)
            {
                var visible = row < tile.RowCount ? computed + ((tile.FirstRow + row) / Heads) + 1 - first : 0;
                Weigh(scores + (row * BlockSize), Math.Min(visible, BlockSize), ref maxima[row], ref sums[row], accumulated + (row * PaddedRank));
            }

            for (var row = 0; row < paddedRows; row += RowGroup)
                Mix(scores + (row * BlockSize), block, positions, accumulated + (row * PaddedRank));
        }

        StoreOutputs(sequence, tile, accumulated, sums);
    }

    private readonly void LoadQueries(SequenceSpan sequence, LatentTile tile, float* query, int paddedRows)
    {
        new Span<float>(query, paddedRows * PaddedWidth).Clear();
        var firstRow = ((long)sequence.FirstToken * Heads) + tile.FirstRow;
        for (var row = 0; row < tile.RowCount; row++, query += PaddedWidth)
        {
            var absorbed = Absorbed + ((firstRow + row) * Rank);
            var rotated = Queries + ((firstRow + row) * (PlainDim + RotaryDim)) + PlainDim;
            for (var d = 0; d < Rank; d++)
                query[d] = absorbed[d] * Scale;
            for (var d = 0; d < RotaryDim; d++)
                query[Rank + d] = rotated[d] * Scale;
        }
    }

    // Rows after the last visible position become zero: that part of the cache has never been written.
    private readonly void LoadBlock(int id, int positions, float* block)
    {
        var source = Cache + ((long)id * BlockSize * Width);
        for (var position = 0; position < positions; position++, source += Width, block += PaddedWidth)
        {
            var scale = TElement.IsScaled ? Float8Row.Value(Scales[((long)id * BlockSize) + position]) : 1;
            var d = 0;
            for (; d + Lanes <= Width; d += Lanes)
                (TElement.IsScaled ? TElement.Load(source + d) * scale : TElement.Load(source + d)).Store(block + d);
            for (; d < Width; d++)
                block[d] = TElement.IsScaled ? TElement.ToSingle(source[d]) * scale : TElement.ToSingle(source[d]);
            for (; d < PaddedWidth; d++)
                block[d] = 0;
        }

        new Span<float>(block, (BlockSize - positions) * PaddedWidth).Clear();
    }

    // scores[row, position] = Σ_d query[row, d] · block[position, d], four rows by four positions at a time.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private readonly void Scores(float* query, int paddedRows, float* block, float* scores)
    {
        for (var row = 0; row < paddedRows; row += RowGroup)
        {
            for (var position = 0; position < BlockSize; position += 4)
                SixteenScores(query + (row * PaddedWidth), block + (position * PaddedWidth), scores + (row * BlockSize) + position);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private readonly void SixteenScores(float* q, float* c, float* scores)
    {
        var width = PaddedWidth;
        Vector512<float> s00 = default, s01 = default, s02 = default, s03 = default, s10 = default, s11 = default, s12 = default, s13 = default;
        Vector512<float> s20 = default, s21 = default, s22 = default, s23 = default, s30 = default, s31 = default, s32 = default, s33 = default;
        for (var d = 0; d < width; d += Lanes)
        {
            var c0 = Vector512.Load(c + d);
            var c1 = Vector512.Load(c + width + d);
            var c2 = Vector512.Load(c + (2 * width) + d);
            var c3 = Vector512.Load(c + (3 * width) + d);
            var q0 = Vector512.Load(q + d);
            s00 = Vector512.FusedMultiplyAdd(q0, c0, s00);
            s01 = Vector512.FusedMultiplyAdd(q0, c1, s01);
            s02 = Vector512.FusedMultiplyAdd(q0, c2, s02);
            s03 = Vector512.FusedMultiplyAdd(q0, c3, s03);
            var q1 = Vector512.Load(q + width + d);
            s10 = Vector512.FusedMultiplyAdd(q1, c0, s10);
            s11 = Vector512.FusedMultiplyAdd(q1, c1, s11);
            s12 = Vector512.FusedMultiplyAdd(q1, c2, s12);
            s13 = Vector512.FusedMultiplyAdd(q1, c3, s13);
            var q2 = Vector512.Load(q + (2 * width) + d);
            s20 = Vector512.FusedMultiplyAdd(q2, c0, s20);
            s21 = Vector512.FusedMultiplyAdd(q2, c1, s21);
            s22 = Vector512.FusedMultiplyAdd(q2, c2, s22);
            s23 = Vector512.FusedMultiplyAdd(q2, c3, s23);
            var q3 = Vector512.Load(q + (3 * width) + d);
            s30 = Vector512.FusedMultiplyAdd(q3, c0, s30);
            s31 = Vector512.FusedMultiplyAdd(q3, c1, s31);
            s32 = Vector512.FusedMultiplyAdd(q3, c2, s32);
            s33 = Vector512.FusedMultiplyAdd(q3, c3, s33);
        }

        FourSums(s00, s01, s02, s03).Store(scores);
        FourSums(s10, s11, s12, s13).Store(scores + BlockSize);
        FourSums(s20, s21, s22, s23).Store(scores + (2 * BlockSize));
        FourSums(s30, s31, s32, s33).Store(scores + (3 * BlockSize));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<float> FourSums(Vector512<float> a, Vector512<float> b, Vector512<float> c, Vector512<float> d)
    {
        var (a4, b4, c4, d4) = (Quarter(a), Quarter(b), Quarter(c), Quarter(d));
        return Sse3.IsSupported
            ? Sse3.HorizontalAdd(Sse3.HorizontalAdd(a4, b4), Sse3.HorizontalAdd(c4, d4))
            : Vector128.Create(Vector128.Sum(a4), Vector128.Sum(b4), Vector128.Sum(c4), Vector128.Sum(d4));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<float> Quarter(Vector512<float> value)
    {
        var half = value.GetLower() + value.GetUpper();
        return half.GetLower() + half.GetUpper();
    }

    // Scores of the visible positions → their weights; zero for the other positions.
    private readonly void Weigh(float* scores, int visible, ref float maximum, ref float sum, float* accumulated)
    {
        if (visible <= 0)
        {
            Vector512<float>.Zero.Store(scores);
            return;
        }

        var mask = Vector512.LessThan(Vector512<int>.Indices, Vector512.Create(visible)).AsSingle();
        var score = Vector512.ConditionalSelect(mask, Vector512.Load(scores), Vector512.Create(float.NegativeInfinity));
        var newMaximum = MathF.Max(maximum, VectorMax.Across(score));
        var weights = Vector512.ConditionalSelect(mask, VectorExp.Exp(score - Vector512.Create(newMaximum)), Vector512<float>.Zero);
        if (newMaximum != maximum)
        {
            // Zero at the first block, where nothing has been accumulated yet.
            var shrink = MathF.Exp(maximum - newMaximum);
            sum *= shrink;
            for (var d = 0; d < PaddedRank; d += Lanes)
                (Vector512.Load(accumulated + d) * shrink).Store(accumulated + d);
            maximum = newMaximum;
        }

        sum += Vector512.Sum(weights);
        weights.Store(scores);
    }

    // accumulated[row, d] += Σ_position weights[row, position] · block[position, d] for four rows.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private readonly void Mix(float* weights, float* block, int positions, float* accumulated)
    {
        var (width, rank) = (PaddedWidth, PaddedRank);
        for (var d = 0; d < rank; d += Lanes)
        {
            var target = accumulated + d;
            var a0 = Vector512.Load(target);
            var a1 = Vector512.Load(target + rank);
            var a2 = Vector512.Load(target + (2 * rank));
            var a3 = Vector512.Load(target + (3 * rank));
            for (var position = 0; position < positions; position++)
            {
                var c = Vector512.Load(block + (position * width) + d);
                a0 = Vector512.FusedMultiplyAdd(Vector512.Create(weights[position]), c, a0);
                a1 = Vector512.FusedMultiplyAdd(Vector512.Create(weights[BlockSize + position]), c, a1);
                a2 = Vector512.FusedMultiplyAdd(Vector512.Create(weights[(2 * BlockSize) + position]), c, a2);
                a3 = Vector512.FusedMultiplyAdd(Vector512.Create(weights[(3 * BlockSize) + position]), c, a3);
            }

            a0.Store(target);
            a1.Store(target + rank);
            a2.Store(target + (2 * rank));
            a3.Store(target + (3 * rank));
        }
    }

    private readonly void StoreOutputs(SequenceSpan sequence, LatentTile tile, float* accumulated, float* sums)
    {
        var firstRow = ((long)sequence.FirstToken * Heads) + tile.FirstRow;
        for (var row = 0; row < tile.RowCount; row++)
        {
            var target = Output + ((firstRow + row) * Rank);
            var scale = 1 / sums[row];
            for (var d = 0; d < Rank; d++)
                target[d] = accumulated[(row * PaddedRank) + d] * scale;
        }
    }
}
