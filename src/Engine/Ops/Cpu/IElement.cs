using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace LocalLlm.Ops.Cpu;

/// <summary>How a kernel reads and writes one stored type as float32. With a struct argument, the JIT specialises the kernel.</summary>
internal unsafe interface IElement<T>
    where T : unmanaged
{
    /// <summary>16 adjacent elements.</summary>
    static abstract Vector512<float> Load(T* source);

    /// <summary>Writes 16 adjacent elements, rounded to nearest even.</summary>
    static abstract void Store(Vector512<float> value, T* destination);

    /// <summary>One element.</summary>
    static abstract float ToSingle(T value);

    /// <summary>One element, rounded to nearest even.</summary>
    static abstract T FromSingle(float value);
}

/// <summary>float32 memory.</summary>
internal readonly unsafe struct Float32Element : ICacheElement<float>
{
    public static bool IsScaled => false;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Load(float* source) => Vector512.Load(source);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(Vector512<float> value, float* destination) => value.Store(destination);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float ToSingle(float value) => value;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float FromSingle(float value) => value;
}

/// <summary>bfloat16 memory: the upper half of a float32.</summary>
internal readonly unsafe struct BFloat16Element : ICacheElement<ushort>
{
    public static bool IsScaled => false;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Load(ushort* source)
    {
        var narrow = Vector256.Load(source);
        if (Avx512F.IsSupported)
            return (Avx512F.ConvertToVector512UInt32(narrow) << 16).AsSingle();
        var (lower, upper) = Vector256.Widen(narrow);
        return (Vector512.Create(lower, upper) << 16).AsSingle();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(Vector512<float> value, ushort* destination)
    {
        var bits = value.AsUInt32();
        var rounded = (bits + Vector512.Create(0x7FFFu) + ((bits >> 16) & Vector512<uint>.One)) >> 16;
        if (Avx512F.IsSupported)
            Avx512F.ConvertToVector256UInt16(rounded).Store(destination);
        else
            Vector256.Narrow(rounded.GetLower(), rounded.GetUpper()).Store(destination);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float ToSingle(ushort value) => BitConverter.UInt32BitsToSingle((uint)value << 16);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ushort FromSingle(float value)
    {
        var bits = BitConverter.SingleToUInt32Bits(value);
        return (ushort)((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
    }
}
