using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using LocalLlm.Interop;
using static TorchSharp.torch;

namespace LocalLlm.Ops.Cpu;

/// <summary><see cref="IDeviceOps.RowMaxima"/> in the host's memory.</summary>
internal static unsafe class RowMaxima
{
    /// <summary>[rows, width] float32 or bfloat16 → [rows, 2] float32.</summary>
    /// <param name="x">The rows.</param>
    /// <param name="firstColumn">Added to every column.</param>
    /// <param name="grain">Min number of rows for a thread.</param>
    public static Tensor Of(Tensor x, long firstColumn, long grain)
    {
        var output = empty([x.size(0), 2], ScalarType.Float32);
        if (x.dtype == ScalarType.Float32)
            Run<float, Float32Element>(x, output, firstColumn, grain);
        else
            Run<ushort, BFloat16Element>(x, output, firstColumn, grain);
        return output;
    }

    private static void Run<T, TElement>(Tensor x, Tensor output, long firstColumn, long grain)
        where T : unmanaged
        where TElement : struct, IElement<T>
    {
        var kernel = new RowMaximaKernel<T, TElement>
        {
            Input = (T*)x.DataPointer(), Output = (float*)output.DataPointer(), Width = (int)x.size(1), FirstColumn = firstColumn,
        };
        CpuParallel.For(kernel, x.size(0), grain);
    }
}

/// <summary>Row by row: one pass for the largest value, and one for its first column, which stops there.</summary>
internal unsafe struct RowMaximaKernel<T, TElement> : IRangeKernel
    where T : unmanaged
    where TElement : struct, IElement<T>
{
    private const int Lanes = 16;

    /// <summary>[rows, width].</summary>
    public T* Input;

    /// <summary>[rows, 2]: value, column.</summary>
    public float* Output;

    public int Width;

    public long FirstColumn;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public readonly void Run(long begin, long end)
    {
        for (var r = begin; r < end; r++)
        {
            var row = Input + (r * Width);
            var largest = Largest(row);
            Output[2 * r] = largest;
            Output[(2 * r) + 1] = FirstColumn + FirstOf(row, largest);
        }
    }

    // The largest value of a row; NaN if the row has any.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private readonly float Largest(T* row)
    {
        Vector512<float> even = Vector512.Create(float.NegativeInfinity), odd = even, unsound = Vector512<float>.Zero;
        var i = 0;
        for (; i + (2 * Lanes) <= Width; i += 2 * Lanes)
        {
            var (a, b) = (TElement.Load(row + i), TElement.Load(row + i + Lanes));
            even = Vector512.MaxNative(a, even);
            odd = Vector512.MaxNative(b, odd);
            // NaN does not equal itself.
            unsound |= ~Vector512.Equals(a, a) | ~Vector512.Equals(b, b);
        }

        var largest = float.NegativeInfinity;
        for (; i < Width; i++)
            largest = MathF.Max(largest, TElement.ToSingle(row[i])); // keeps NaN
        return unsound.AsUInt32() != Vector512<uint>.Zero ? float.NaN : MathF.Max(largest, VectorMax.Across(Vector512.MaxNative(even, odd)));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private readonly int FirstOf(T* row, float value)
    {
        var wanted = Vector512.Create(value);
        var i = 0;
        if (!float.IsNaN(value))
        {
            while (i + Lanes <= Width && !Vector512.EqualsAny(TElement.Load(row + i), wanted))
                i += Lanes;
        }

        // Equals is true for two NaN, and for 0 and -0.
        while (!TElement.ToSingle(row[i]).Equals(value))
            i++;
        return i;
    }
}
