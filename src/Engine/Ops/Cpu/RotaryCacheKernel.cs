using System.Runtime.InteropServices;

namespace LocalLlm.Ops.Cpu;

/// <summary>
/// Rotates queries and keys in place and stores keys and values in their slots.
/// Cache layout: keys [blocks, kv_heads, head_dim, 16], values [blocks, kv_heads, 16, padded head_dim].
/// </summary>
internal unsafe struct RotaryCacheKernel<T, TElement, TCache, TCacheElement> : IRangeKernel
    where T : unmanaged
    where TElement : struct, IElement<T>
    where TCache : unmanaged
    where TCacheElement : struct, ICacheElement<TCache>
{
    private const int BlockSize = AttentionMetadata.BlockSize;

    /// <summary>[tokens, qkv width].</summary>
    public T* Qkv;

    public TCache* Keys;
    public TCache* Values;

    /// <summary>[blocks, kv_heads, 16] if the cache has scales.</summary>
    public byte* KeyScales;

    /// <summary>[blocks, kv_heads, 16] if the cache has scales.</summary>
    public byte* ValueScales;

    /// <summary>[rows, head_dim / 2].</summary>
    public float* Cos;

    /// <summary>[rows, head_dim / 2].</summary>
    public float* Sin;

    /// <summary>[tokens] rows of cos and sin.</summary>
    public int* Rows;

    public int* Slots;
    public int Heads;
    public int KvHeads;
    public int HeadDim;
    public int PaddedHeadDim;

    public readonly void Run(long begin, long end)
    {
        var scratch = TCacheElement.IsScaled ? (float*)NativeMemory.AlignedAlloc((nuint)PaddedHeadDim * (sizeof(float) + 1), 64) : null;
        try
        {
            for (var token = begin; token < end; token++)
                RunToken(token, scratch);
        }
        finally
        {
            NativeMemory.AlignedFree(scratch);
        }
    }

    private readonly void RunToken(long token, float* scratch)
    {
        var half = HeadDim / 2;
        var row = Qkv + (token * (Heads + (2 * KvHeads)) * HeadDim);
        var cos = Cos + ((long)Rows[token] * half);
        var sin = Sin + ((long)Rows[token] * half);
        for (var head = 0; head < Heads + KvHeads; head++)
            Rotate(row + (head * HeadDim), cos, sin, half);

        var (block, offset) = (Slots[token] / BlockSize, Slots[token] % BlockSize);
        for (var head = 0; head < KvHeads; head++)
        {
            var blockHead = ((long)block * KvHeads) + head;
            var key = row + ((Heads + head) * HeadDim);
            var value = row + ((Heads + KvHeads + head) * HeadDim);
            var keyColumn = Keys + (blockHead * HeadDim * BlockSize) + offset;
            var valueRow = Values + (((blockHead * BlockSize) + offset) * PaddedHeadDim);
            if (TCacheElement.IsScaled)
            {
                var bytes = (byte*)(scratch + PaddedHeadDim);
                KeyScales[(blockHead * BlockSize) + offset] = Encode(key, scratch, bytes);
                for (var d = 0; d < HeadDim; d++)
                    ((byte*)keyColumn)[d * BlockSize] = bytes[d];
                ValueScales[(blockHead * BlockSize) + offset] = Encode(value, scratch, (byte*)valueRow);
            }
            else
            {
                // Activations and cache have the same type here.
                for (var d = 0; d < HeadDim; d++)
                    keyColumn[d * BlockSize] = ((TCache*)key)[d];
                new ReadOnlySpan<TCache>(value, HeadDim).CopyTo(new(valueRow, HeadDim));
            }
        }
    }

    private readonly byte Encode(T* source, float* scratch, byte* target)
    {
        for (var d = 0; d < HeadDim; d++)
            scratch[d] = TElement.ToSingle(source[d]);
        return Float8Rows.Encode(scratch, HeadDim, target);
    }

    private static void Rotate(T* head, float* cos, float* sin, int half)
    {
        for (var i = 0; i < half; i++)
        {
            var first = TElement.ToSingle(head[i]);
            var second = TElement.ToSingle(head[i + half]);
            head[i] = TElement.FromSingle((first * cos[i]) - (second * sin[i]));
            head[i + half] = TElement.FromSingle((second * cos[i]) + (first * sin[i]));
        }
    }
}
