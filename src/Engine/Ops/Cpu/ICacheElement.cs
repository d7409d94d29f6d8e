using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace LocalLlm.Ops.Cpu;

/// <summary>How a kernel reads and writes one stored type of a KV cache as float32.</summary>
internal interface ICacheElement<T> : IElement<T>
    where T : unmanaged
{
    /// <summary>Whether each token's heads have scales (<see cref="Float8Row"/>); the kernel multiplies loaded elements by them.</summary>
    static abstract bool IsScaled { get; }
}

/// <summary>8-bit floats (<see cref="Float8"/>). NaN is only ever in the scale of a row, never in an element.</summary>
internal readonly unsafe struct Float8Element : ICacheElement<byte>
{
    public static bool IsScaled => true;

    // Sign-extend a byte and shift it up by 20: its bits are then where a float32 has its sign, the low bits of its exponent and its
    // mantissa. That is the value times 2^-120, subnormals included.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Load(byte* source) =>
        ((Widen(Vector128.Load(source).AsSByte()) << 20) & Vector512.Create(0x87F00000u).AsInt32()).AsSingle() * 1.329227995784915872903807060280344576e36f;

    /// <summary>Rounds to nearest even; saturates at 448.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(Vector512<float> value, byte* destination)
    {
        var sign = (value.AsUInt32() >> 24) & Vector512.Create(0x80u);
        var magnitude = Vector512.Min(Vector512.Abs(value), Vector512.Create(Float8.Largest));
        var bits = magnitude.AsUInt32();
        // Three bits of mantissa, and an exponent whose bias is smaller by 120.
        var normal = ((bits + Vector512.Create(0x7FFFFu) + ((bits >> 20) & Vector512<uint>.One)) >> 20) - Vector512.Create(120u << 3);
        // Below 2^-6, values are multiples of 2^-9: float32 values near 2^14 have this step, so adding 2^14 rounds to it.
        const float step = 16384;
        var subnormal = (magnitude + Vector512.Create(step)).AsUInt32() - Vector512.Create(step).AsUInt32();
        var result = Vector512.ConditionalSelect(Vector512.LessThan(magnitude, Vector512.Create(0.015625f)).AsUInt32(), subnormal, normal) | sign;
        if (Avx512F.IsSupported)
            Avx512F.ConvertToVector128Byte(result).Store(destination);
        else
            Narrow(result).Store(destination);
    }

    public static float ToSingle(byte value) => Float8.Values[value];

    public static byte FromSingle(float value)
    {
        var bytes = stackalloc byte[Vector512<float>.Count];
        Store(Vector512.Create(value), bytes);
        return *bytes;
    }

    /// <summary>Sixteen bytes, sign-extended.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<int> Widen(Vector128<sbyte> narrow)
    {
        if (Avx512F.IsSupported)
            return Avx512F.ConvertToVector512Int32(narrow);
        var (lower, upper) = Vector128.Widen(narrow);
        var (first, second) = Vector128.Widen(lower);
        var (third, fourth) = Vector128.Widen(upper);
        return Vector512.Create(Vector256.Create(first, second), Vector256.Create(third, fourth));
    }

    private static Vector128<byte> Narrow(Vector512<uint> wide)
    {
        var half = Vector256.Narrow(wide.GetLower(), wide.GetUpper());
        return Vector128.Narrow(half.GetLower(), half.GetUpper());
    }
}

/// <summary>Scales and rows of 8-bit floats for the kernels.</summary>
internal static unsafe class Float8Rows
{
    /// <summary>Rows in scratch memory are padded to a multiple of this.</summary>
    public const int Lanes = 16;

    /// <summary>Stores a row, as <see cref="Float8Row.Encode"/> does.</summary>
    /// <param name="row">The row's elements; the count rounded up to 16 may be overwritten.</param>
    /// <param name="count">Number of elements.</param>
    /// <param name="target">Room for the count rounded up to 16.</param>
    /// <returns>The row's scale.</returns>
    public static byte Encode(float* row, int count, byte* target)
    {
        var padded = Padded(count);
        new Span<float>(row + count, padded - count).Clear();
        var largest = Vector512<float>.Zero;
        for (var i = 0; i < padded; i += Lanes)
            largest = Vector512.Max(largest, Vector512.Abs(Vector512.Load(row + i))); // NaN is the largest
        var quarter = Vector256.Max(largest.GetLower(), largest.GetUpper());
        var eighth = Vector128.Max(quarter.GetLower(), quarter.GetUpper());
        var scale = Float8Row.ScaleOf(MathF.Max(MathF.Max(eighth[0], eighth[1]), MathF.Max(eighth[2], eighth[3])));
        var inverse = Vector512.Create(Float8Row.Inverse(scale));
        for (var i = 0; i < padded; i += Lanes)
            Float8Element.Store(Vector512.Load(row + i) * inverse, target + i);
        return scale;
    }

    /// <summary>The values of 16 adjacent scales.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Scales(byte* scales)
    {
        var wide = Float8Element.Widen(Vector128.Load(scales).AsSByte()) & Vector512.Create((int)Float8Row.NaN);
        return Vector512.ConditionalSelect(Vector512.Equals(wide, Vector512.Create((int)Float8Row.NaN)), Vector512<int>.AllBitsSet, wide << 23).AsSingle();
    }

    /// <summary>A count rounded up to whole vectors.</summary>
    public static int Padded(int count) => (count + Lanes - 1) / Lanes * Lanes;
}
