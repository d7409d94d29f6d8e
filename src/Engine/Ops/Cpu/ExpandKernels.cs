using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace LocalLlm.Ops.Cpu;

/// <summary>Loads the rows of a chunk's positions from the cache and widens them, as rows and in panels.</summary>
internal unsafe struct LoadChunkKernel<T, TElement> : IRangeKernel
    where T : unmanaged
    where TElement : struct, ICacheElement<T>
{
    private const int BlockSize = AttentionMetadata.BlockSize;

    public ExpandedChunk Chunk;

    /// <summary>[blocks, 16, rank + rotary_dim].</summary>
    public T* Cache;

    /// <summary>[blocks, 16] if the cache has scales.</summary>
    public byte* Scales;

    /// <summary>The sequence's blocks.</summary>
    public int* Blocks;

    /// <summary>Items are blocks of the chunk, up to the end of its last panel.</summary>
    public readonly void Run(long begin, long end)
    {
        var width = Chunk.Rank + Chunk.RotaryDim;
        var row = (float*)NativeMemory.AlignedAlloc((nuint)Float8Rows.Padded(width) * sizeof(float), 64);
        try
        {
            for (var block = begin; block < end; block++)
            {
                for (var i = 0; i < BlockSize; i++)
                {
                    var place = (int)(block * BlockSize) + i;
                    if (place < Chunk.Count)
                        Widen(((long)Blocks[(Chunk.First + place) / BlockSize] * BlockSize) + i, width, row);
                    else
                        new Span<float>(row, width).Clear();
                    Store(row, place);
                }
            }
        }
        finally
        {
            NativeMemory.AlignedFree(row);
        }
    }

    private readonly void Widen(long slot, int width, float* row)
    {
        var source = Cache + (slot * width);
        var scale = TElement.IsScaled ? Float8Row.Value(Scales[slot]) : 1;
        var d = 0;
        for (; d + Vector512<float>.Count <= width; d += Vector512<float>.Count)
            (TElement.IsScaled ? TElement.Load(source + d) * scale : TElement.Load(source + d)).Store(row + d);
        for (; d < width; d++)
            row[d] = TElement.IsScaled ? TElement.ToSingle(source[d]) * scale : TElement.ToSingle(source[d]);
    }

    private readonly void Store(float* row, int place)
    {
        const int lanes = ExpandedChunk.Lanes;
        new ReadOnlySpan<float>(row, Chunk.Rank).CopyTo(new Span<float>(Chunk.Latent + ((long)place * Chunk.Rank), Chunk.Rank));
        var (panel, lane) = (place / lanes, place % lanes);
        var latent = Chunk.LatentPanels + ((long)panel * Chunk.Rank * lanes) + lane;
        for (var d = 0; d < Chunk.Rank; d++)
            latent[d * lanes] = row[d];
        var rotary = Chunk.RotaryPanels + ((long)panel * Chunk.RotaryDim * lanes) + lane;
        for (var d = 0; d < Chunk.RotaryDim; d++)
            rotary[d * lanes] = row[Chunk.Rank + d];
    }
}

/// <summary>Computes keys and values of a chunk's positions for all heads.</summary>
internal unsafe struct ExpandKernel<T, TElement> : IRangeKernel
    where T : unmanaged
    where TElement : struct, IElement<T>
{
    private const int Lanes = ExpandedChunk.Lanes;
    private const int Rows = Float32PanelRows.MaxRows;

    public ExpandedChunk Chunk;

    /// <summary>[heads, ⌈rank / 32⌉, plain_dim, 32]: the layout for absorbing queries.</summary>
    public T* Keys;

    /// <summary>[heads, ⌈value_dim / 32⌉, rank, 32].</summary>
    public T* Values;

    /// <summary>Items are the keys and the values of every head.</summary>
    public readonly void Run(long begin, long end)
    {
        var floats = (long)Chunk.Rank * Math.Max(Chunk.PlainDim, Lanes);
        var scratch = (float*)NativeMemory.AlignedAlloc((nuint)floats * sizeof(float), 64);
        try
        {
            for (var item = begin; item < end; item++)
            {
                if (item % 2 == 0)
                    ExpandKeys((int)(item / 2), scratch);
                else
                    ExpandValues((int)(item / 2), scratch);
            }
        }
        finally
        {
            NativeMemory.AlignedFree(scratch);
        }
    }

    private readonly void ExpandKeys(int head, float* matrix)
    {
        Unpack(head, matrix);
        var (rank, plain, rotary) = (Chunk.Rank, Chunk.PlainDim, Chunk.RotaryDim);
        for (var panel = 0; panel < Chunk.Panels; panel++)
        {
            var target = Chunk.KeysOf(head) + ((long)panel * Chunk.KeyRows * Lanes);
            var latent = Chunk.LatentPanels + ((long)panel * rank * Lanes);
            for (var d = 0; d < plain; d += Rows)
                Float32PanelRows.Multiply(matrix + ((long)d * rank), rank, Math.Min(Rows, plain - d), rank, latent, target + (d * Lanes));
            new ReadOnlySpan<float>(Chunk.RotaryPanels + ((long)panel * rotary * Lanes), rotary * Lanes)
                .CopyTo(new Span<float>(target + (plain * Lanes), rotary * Lanes));
        }
    }

    // Writes the head's projection to keys as [plain_dim, rank].
    private readonly void Unpack(int head, float* matrix)
    {
        var (rank, plain) = (Chunk.Rank, Chunk.PlainDim);
        var panels = (rank + Lanes - 1) / Lanes;
        var source = Keys + ((long)head * panels * plain * Lanes);
        for (var panel = 0; panel < panels; panel++)
        {
            var count = Math.Min(Lanes, rank - (panel * Lanes));
            for (var d = 0; d < plain; d++, source += Lanes)
                PreparedRows.Widen<T, TElement>(source, count, matrix + ((long)d * rank) + (panel * Lanes));
        }
    }

    private readonly void ExpandValues(int head, float* matrix)
    {
        var rank = Chunk.Rank;
        for (var panel = 0; panel < Chunk.ValuePanels; panel++)
        {
            PreparedRows.Widen<T, TElement>(Values + ((((long)head * Chunk.ValuePanels) + panel) * rank * Lanes), rank * Lanes, matrix);
            var target = Chunk.ValuesOf(head) + ((long)panel * Chunk.Capacity * Lanes);
            for (var position = 0; position < Chunk.Panels * Lanes; position += Rows)
                Float32PanelRows.Multiply(Chunk.Latent + ((long)position * rank), rank, Rows, rank, matrix, target + (position * Lanes));
        }
    }
}
