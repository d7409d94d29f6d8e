using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace LocalLlm.Ops.Cpu;

/// <summary>
/// Attention of a sequence's tokens to one chunk of its positions, merged with the previous chunks. A row keeps the maximum and sum of its
/// weights, and its weighted values, from chunk to chunk (Milakov and Gimelshein, 2018). This equals merging finished chunks by the
/// logarithms of their sums, without the divisions. A row goes through the same additions in the same order whatever the other rows are.
/// </summary>
internal unsafe struct ExpandedAttentionKernel : IRangeKernel
{
    private const int Lanes = ExpandedChunk.Lanes;
    private const int Group = Float32PanelRows.MaxRows;

    /// <summary>Tokens of a tile.</summary>
    public const int TileRows = 32;

    public ExpandedChunk Chunk;

    /// <summary>[tokens, heads, query_dim] of the sequence.</summary>
    public float* Queries;

    /// <summary>[heads, tokens].</summary>
    public float* Maxima;

    /// <summary>[heads, tokens].</summary>
    public float* Sums;

    /// <summary>[heads, tokens, value panels · 32].</summary>
    public float* Accumulated;

    /// <summary>Number of tokens of the sequence in the step.</summary>
    public int Tokens;

    /// <summary>Position of the first token.</summary>
    public int FirstPosition;

    public float Scale;

    /// <summary>Next tile to take. Threads share it to balance tiles that see more and fewer positions.</summary>
    public int* NextItem;

    /// <summary>Floats of a thread's scratch memory: scores and weights of a tile, and one product.</summary>
    /// <param name="capacity">Positions of a chunk.</param>
    public static int ScratchFloats(int capacity) => (2 * TileRows * capacity) + (Group * Lanes);

    /// <summary>Number of tiles of a head.</summary>
    public readonly int TilesPerHead => (Tokens + TileRows - 1) / TileRows;

    private readonly int QueryDim => Chunk.PlainDim + Chunk.RotaryDim;

    private readonly int ValueWidth => Chunk.ValuePanels * Lanes;

    /// <summary>The range is one index per thread; the work itself comes from <see cref="NextItem"/>.</summary>
    public readonly void Run(long begin, long end)
    {
        const int tile = Group * Lanes;
        var memory = (float*)NativeMemory.AlignedAlloc((nuint)ScratchFloats(Chunk.Capacity) * sizeof(float), 64);
        try
        {
            for (var item = Take(); item < Chunk.Heads * TilesPerHead; item = Take())
                RunItem(item / TilesPerHead, item % TilesPerHead * TileRows, memory + tile, memory + tile + (TileRows * Chunk.Capacity), memory);
        }
        finally
        {
            NativeMemory.AlignedFree(memory);
        }
    }

    private readonly int Take() => Interlocked.Increment(ref *NextItem) - 1;

    // scores: [panels, 32 rows, 32 positions]; weights: [32 rows, positions].
    private readonly void RunItem(int head, int firstToken, float* scores, float* weights, float* tile)
    {
        var rows = Math.Min(TileRows, Tokens - firstToken);
        var seen = Math.Min(Chunk.Count, FirstPosition + firstToken + rows - Chunk.First); // by the tile's last row
        if (seen <= 0)
            return;
        Scores(head, firstToken, rows, seen, scores);
        var row0 = ((long)head * Tokens) + firstToken;
        for (var row = 0; row < rows; row++)
        {
            var visible = Math.Clamp(FirstPosition + firstToken + row + 1 - Chunk.First, 0, seen);
            Weigh(scores + (row * Lanes), visible, seen, weights + (row * Chunk.Capacity),
                ref Maxima[row0 + row], ref Sums[row0 + row], Accumulated + ((row0 + row) * ValueWidth));
        }

        Mix(head, rows, seen, weights, tile, Accumulated + (row0 * ValueWidth));
    }

    private readonly void Scores(int head, int firstToken, int rows, int seen, float* scores)
    {
        long stride = Chunk.Heads * QueryDim;
        var query = Queries + (firstToken * stride) + ((long)head * QueryDim);
        var keys = Chunk.KeysOf(head);
        for (var first = 0; first < seen; first += Lanes, keys += Chunk.KeyRows * Lanes, scores += TileRows * Lanes)
        {
            for (var row = 0; row < rows; row += Group)
                Float32PanelRows.Multiply(query + (row * stride), stride, Math.Min(Group, rows - row), QueryDim, keys, scores + (row * Lanes));
        }
    }

    // A row's scores → its weights; zero for positions that the tile's last row sees and this row does not.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private readonly void Weigh(float* scores, int visible, int seen, float* weights, ref float maximum, ref float sum, float* accumulated)
    {
        const int vector = 16;
        if (visible > 0)
        {
            var greatest = Vector512.Create(float.NegativeInfinity);
            for (var p = 0; p < visible; p += vector)
                greatest = Vector512.Max(greatest, Visible(Scaled(scores, p), visible - p));
            var newMaximum = MathF.Max(maximum, VectorMax.Across(greatest));
            if (newMaximum != maximum)
            {
                // Zero at the first chunk, where nothing has been accumulated yet.
                var shrink = MathF.Exp(maximum - newMaximum);
                sum *= shrink;
                for (var d = 0; d < ValueWidth; d += vector)
                    (Vector512.Load(accumulated + d) * shrink).Store(accumulated + d);
                maximum = newMaximum;
            }

            var total = Vector512<float>.Zero;
            for (var p = 0; p < visible; p += vector)
            {
                var weight = VectorExp.Exp(Visible(Scaled(scores, p), visible - p) - Vector512.Create(newMaximum));
                total += weight;
                weight.Store(weights + p);
            }

            sum += Vector512.Sum(total);
        }

        for (var p = (Math.Max(visible, 0) + vector - 1) / vector * vector; p < seen; p += vector)
            Vector512<float>.Zero.Store(weights + p);
    }

    private readonly Vector512<float> Scaled(float* scores, int position) =>
        Vector512.Load(scores + (position / Lanes * TileRows * Lanes) + (position % Lanes)) * Scale;

    private static Vector512<float> Visible(Vector512<float> scores, int count) =>
        count >= Vector512<float>.Count
            ? scores
            : Vector512.ConditionalSelect(
                Vector512.LessThan(Vector512<int>.Indices, Vector512.Create(count)).AsSingle(), scores, Vector512.Create(float.NegativeInfinity));

    private readonly void Mix(int head, int rows, int seen, float* weights, float* tile, float* accumulated)
    {
        for (var panel = 0; panel < Chunk.ValuePanels; panel++)
        {
            var values = Chunk.ValuesOf(head) + ((long)panel * Chunk.Capacity * Lanes);
            for (var row = 0; row < rows; row += Group)
            {
                var count = Math.Min(Group, rows - row);
                Float32PanelRows.Multiply(weights + (row * Chunk.Capacity), Chunk.Capacity, count, seen, values, tile);
                for (var i = 0; i < count; i++)
                {
                    var target = accumulated + ((long)(row + i) * ValueWidth) + (panel * Lanes);
                    (Vector512.Load(target) + Vector512.Load(tile + (i * Lanes))).Store(target);
                    (Vector512.Load(target + 16) + Vector512.Load(tile + (i * Lanes) + 16)).Store(target + 16);
                }
            }
        }
    }
}

/// <summary>Divides weighted values by the sums of their weights and writes them in the activation type.</summary>
internal unsafe struct FinishAttentionKernel<T, TElement> : IRangeKernel
    where T : unmanaged
    where TElement : struct, IElement<T>
{
    /// <summary>[heads, tokens, width].</summary>
    public float* Accumulated;

    /// <summary>[heads, tokens].</summary>
    public float* Sums;

    /// <summary>[tokens, heads · value_dim].</summary>
    public T* Output;

    public int Heads;
    public int Tokens;
    public int Width;
    public int ValueDim;

    /// <summary>Items are tokens.</summary>
    public readonly void Run(long begin, long end)
    {
        for (var token = begin; token < end; token++)
        {
            for (var head = 0; head < Heads; head++)
            {
                var row = ((long)head * Tokens) + token;
                var source = Accumulated + (row * Width);
                var scale = 1 / Sums[row];
                var target = Output + (((token * Heads) + head) * ValueDim);
                for (var d = 0; d < ValueDim; d++)
                    target[d] = TElement.FromSingle(source[d] * scale);
            }
        }
    }
}
