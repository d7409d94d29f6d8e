using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace LocalLlm.Ops.Cpu;

/// <summary>silu(gate) · up, row by row.</summary>
internal unsafe struct SiluAndMulKernel<T, TElement> : IRangeKernel
    where T : unmanaged
    where TElement : struct, IElement<T>
{
    /// <summary>[rows, 2 · width]: gate, then up.</summary>
    public T* GateUp;

    /// <summary>[rows, width].</summary>
    public T* Output;

    public int Width;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public readonly void Run(long begin, long end)
    {
        for (var row = begin; row < end; row++)
        {
            var gate = GateUp + (row * 2 * Width);
            var up = gate + Width;
            var output = Output + (row * Width);
            var i = 0;
            for (; i + Vector512<float>.Count <= Width; i += Vector512<float>.Count)
            {
                var x = TElement.Load(gate + i);
                var silu = x / (Vector512<float>.One + VectorExp.Exp(-x));
                TElement.Store(silu * TElement.Load(up + i), output + i);
            }

            for (; i < Width; i++)
            {
                var x = TElement.ToSingle(gate[i]);
                output[i] = TElement.FromSingle(x / (1 + MathF.Exp(-x)) * TElement.ToSingle(up[i]));
            }
        }
    }
}
