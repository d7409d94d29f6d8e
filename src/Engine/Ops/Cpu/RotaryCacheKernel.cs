namespace LocalLlm.Ops.Cpu;

/// <summary>
/// Rotates queries and keys in place and stores keys and values in their slots.
/// Cache layout: keys [blocks, kv_heads, head_dim, 16], values [blocks, kv_heads, 16, padded head_dim].
/// </summary>
internal unsafe struct RotaryCacheKernel<T, TElement> : IRangeKernel
    where T : unmanaged
    where TElement : struct, IElement<T>
{
    /// <summary>[tokens, qkv width].</summary>
    public T* Qkv;

    public T* Keys;
    public T* Values;

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
        const int blockSize = AttentionMetadata.BlockSize;
        var half = HeadDim / 2;
        for (var token = begin; token < end; token++)
        {
            var row = Qkv + (token * (Heads + (2 * KvHeads)) * HeadDim);
            var cos = Cos + ((long)Rows[token] * half);
            var sin = Sin + ((long)Rows[token] * half);
            for (var head = 0; head < Heads + KvHeads; head++)
                Rotate(row + (head * HeadDim), cos, sin, half);

            var block = Slots[token] / blockSize;
            var offset = Slots[token] % blockSize;
            for (var head = 0; head < KvHeads; head++)
            {
                var blockHead = ((long)block * KvHeads) + head;
                var key = row + ((Heads + head) * HeadDim);
                var keyColumn = Keys + (blockHead * HeadDim * blockSize) + offset;
                for (var d = 0; d < HeadDim; d++)
                    keyColumn[d * blockSize] = key[d];

                var value = row + ((Heads + KvHeads + head) * HeadDim);
                new ReadOnlySpan<T>(value, HeadDim).CopyTo(new Span<T>(Values + (((blockHead * blockSize) + offset) * PaddedHeadDim), HeadDim));
            }
        }
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
