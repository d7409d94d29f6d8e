using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace LocalLlm.Ops.Cpu;

/// <summary>RMSNorm of rows. Optionally adds the input to a residual first and normalises the sum.</summary>
internal unsafe struct RmsNormKernel<T, TElement> : IRangeKernel
    where T : unmanaged
    where TElement : struct, IElement<T>
{
    /// <summary>[rows] of <see cref="Width"/> elements, <see cref="InputStride"/> apart.</summary>
    public T* Input;

    /// <summary>[rows] of <see cref="Width"/> elements that the input is added to, or null.</summary>
    public T* Residual;

    /// <summary>[rows] of <see cref="Width"/> elements, <see cref="OutputStride"/> apart; may be the input.</summary>
    public T* Output;

    public T* Weight;
    public int Width;
    public long InputStride;
    public long OutputStride;
    public float Epsilon;

    public readonly void Run(long begin, long end)
    {
        for (var row = begin; row < end; row++)
        {
            var source = Input + (row * InputStride);
            if (Residual != null)
                source = AddToResidual(source, Residual + (row * Width));
            Normalize(source, Output + (row * OutputStride));
        }
    }

    private readonly T* AddToResidual(T* input, T* residual)
    {
        var i = 0;
        for (; i + Vector512<float>.Count <= Width; i += Vector512<float>.Count)
            TElement.Store(TElement.Load(residual + i) + TElement.Load(input + i), residual + i);
        for (; i < Width; i++)
            residual[i] = TElement.FromSingle(TElement.ToSingle(residual[i]) + TElement.ToSingle(input[i]));
        return residual;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private readonly void Normalize(T* source, T* destination)
    {
        var squares = Vector512<float>.Zero;
        var i = 0;
        for (; i + Vector512<float>.Count <= Width; i += Vector512<float>.Count)
        {
            var value = TElement.Load(source + i);
            squares = Vector512.FusedMultiplyAdd(value, value, squares);
        }

        var sum = Vector512.Sum(squares);
        for (; i < Width; i++)
            sum += TElement.ToSingle(source[i]) * TElement.ToSingle(source[i]);

        var scale = 1 / MathF.Sqrt((sum / Width) + Epsilon);
        for (i = 0; i + Vector512<float>.Count <= Width; i += Vector512<float>.Count)
            TElement.Store(TElement.Load(source + i) * scale * TElement.Load(Weight + i), destination + i);
        for (; i < Width; i++)
            destination[i] = TElement.FromSingle(TElement.ToSingle(source[i]) * scale * TElement.ToSingle(Weight[i]));
    }
}
