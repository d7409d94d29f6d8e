using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace LocalLlm.Ops.Cpu;

/// <summary>
/// Stores what latent attention keeps of each token: the normalised latent vector and the rotated part of its key. Rotates the token's
/// query heads in place.
/// </summary>
internal unsafe struct LatentRowKernel<T, TElement, TCache, TCacheElement> : IRangeKernel
    where T : unmanaged
    where TElement : struct, IElement<T>
    where TCache : unmanaged
    where TCacheElement : struct, ICacheElement<TCache>
{
    /// <summary>[tokens, heads · query_dim].</summary>
    public T* Queries;

    /// <summary>The first token's latent vector, followed by the part of its key to rotate.</summary>
    public T* Source;

    /// <summary>Elements from one token's vector to the next.</summary>
    public long SourceStride;

    /// <summary>[rank].</summary>
    public T* NormWeight;

    /// <summary>[blocks, 16, rank + rotary_dim].</summary>
    public TCache* Cache;

    /// <summary>[blocks, 16] if the cache has scales.</summary>
    public byte* Scales;

    public float* Cos;
    public float* Sin;

    /// <summary>[tokens] rows of <see cref="Cos"/> and <see cref="Sin"/>.</summary>
    public int* Rows;

    /// <summary>[tokens].</summary>
    public int* Slots;

    public int Heads;
    public int Rank;
    public int PlainDim;
    public int RotaryDim;
    public bool Interleaved;
    public float Epsilon;

    /// <summary>Items are tokens.</summary>
    public readonly void Run(long begin, long end)
    {
        // [padded width] floats, and as many bytes
        var padded = Float8Rows.Padded(Rank + RotaryDim);
        var row = (float*)NativeMemory.AlignedAlloc((nuint)padded * (sizeof(float) + 1), 64);
        try
        {
            RunTokens(begin, end, row, (byte*)(row + padded));
        }
        finally
        {
            NativeMemory.AlignedFree(row);
        }
    }

    private readonly void RunTokens(long begin, long end, float* row, byte* bytes)
    {
        var half = RotaryDim / 2;
        var queryDim = PlainDim + RotaryDim;
        var width = Rank + RotaryDim;
        for (var token = begin; token < end; token++)
        {
            var cos = Cos + ((long)Rows[token] * half);
            var sin = Sin + ((long)Rows[token] * half);
            var query = Queries + (token * Heads * queryDim) + PlainDim;
            for (var head = 0; head < Heads; head++, query += queryDim)
                Rotate<T, TElement>(query, query, cos, sin, half);

            var source = Source + (token * SourceStride);
            Normalize(source, row);
            Rotate<float, Float32Element>(source + Rank, row + Rank, cos, sin, half);
            var target = Cache + ((long)Slots[token] * width);
            if (TCacheElement.IsScaled)
            {
                Scales[Slots[token]] = Float8Rows.Encode(row, width, bytes);
                new ReadOnlySpan<byte>(bytes, width).CopyTo(new(target, width));
            }
            else
            {
                for (var i = 0; i < width; i++)
                    target[i] = TCacheElement.FromSingle(row[i]);
            }
        }
    }

    private readonly void Normalize(T* source, float* target)
    {
        var squares = Vector512<float>.Zero;
        var i = 0;
        for (; i + Vector512<float>.Count <= Rank; i += Vector512<float>.Count)
        {
            var x = TElement.Load(source + i);
            squares = Vector512.FusedMultiplyAdd(x, x, squares);
        }

        var sum = Vector512.Sum(squares);
        for (; i < Rank; i++)
            sum += TElement.ToSingle(source[i]) * TElement.ToSingle(source[i]);
        var scale = 1 / MathF.Sqrt((sum / Rank) + Epsilon);
        for (i = 0; i < Rank; i++)
            target[i] = TElement.ToSingle(source[i]) * scale * TElement.ToSingle(NormWeight[i]);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private readonly void Rotate<TTarget, TTargetElement>(T* source, TTarget* target, float* cos, float* sin, int half)
        where TTarget : unmanaged
        where TTargetElement : struct, IElement<TTarget>
    {
        for (var i = 0; i < half; i++)
        {
            var (first, second) = Interleaved ? (2 * i, (2 * i) + 1) : (i, half + i);
            var (a, b) = (TElement.ToSingle(source[first]), TElement.ToSingle(source[second]));
            target[first] = TTargetElement.FromSingle((a * cos[i]) - (b * sin[i]));
            target[second] = TTargetElement.FromSingle((b * cos[i]) + (a * sin[i]));
        }
    }
}
