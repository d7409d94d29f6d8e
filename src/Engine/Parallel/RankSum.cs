using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using static TorchSharp.torch;

namespace LocalLlm.Parallel;

/// <summary>Sums the ranks' parts on a CPU, always in rank order, so that every rank gets the same bits.</summary>
internal static unsafe class RankSum
{
    /// <summary>Whether parts of this type can be summed.</summary>
    public static bool Takes(ScalarType type) => type is ScalarType.Float32 or ScalarType.BFloat16;

    /// <summary>Size in bytes of an element, for types that can be summed.</summary>
    public static int Bytes(this ScalarType type) => type == ScalarType.Float32 ? sizeof(float) : sizeof(ushort);

    /// <summary>
    /// target = (target +) part 0 + part 1 + …; bfloat16 parts are summed in float32 and rounded once, before they are added to the
    /// target.
    /// </summary>
    /// <param name="type">float32 or bfloat16.</param>
    /// <param name="parts">Addresses of all ranks' parts.</param>
    /// <param name="target">Address of the result; may be one of the parts.</param>
    /// <param name="first">First element.</param>
    /// <param name="count">Number of elements.</param>
    /// <param name="adds">Whether to add the sum to the target's values.</param>
    /// <exception cref="NotSupportedException">Another type.</exception>
    public static void Run(ScalarType type, ReadOnlySpan<nint> parts, nint target, long first, long count, bool adds)
    {
        if (type == ScalarType.Float32)
            Run(parts, (float*)target, first, count, adds);
        else if (type == ScalarType.BFloat16)
            Run(parts, (ushort*)target, first, count, adds);
        else
            throw new NotSupportedException($"ranks on a CPU sum float32 and bfloat16, not {type}");
    }

    private static void Run(ReadOnlySpan<nint> parts, float* target, long first, long count, bool adds)
    {
        var end = first + count;
        var i = first;
        for (; i <= end - Vector512<float>.Count; i += Vector512<float>.Count)
        {
            var sum = Vector512.Load((float*)parts[0] + i);
            for (var part = 1; part < parts.Length; part++)
                sum += Vector512.Load((float*)parts[part] + i);
            (adds ? Vector512.Load(target + i) + sum : sum).Store(target + i);
        }

        for (; i < end; i++)
        {
            var sum = ((float*)parts[0])[i];
            for (var part = 1; part < parts.Length; part++)
                sum += ((float*)parts[part])[i];
            target[i] = adds ? target[i] + sum : sum;
        }
    }

    private static void Run(ReadOnlySpan<nint> parts, ushort* target, long first, long count, bool adds)
    {
        var end = first + count;
        var i = first;
        for (; i <= end - Vector512<float>.Count; i += Vector512<float>.Count)
        {
            var sum = Widen((ushort*)parts[0] + i);
            for (var part = 1; part < parts.Length; part++)
                sum += Widen((ushort*)parts[part] + i);
            var rounded = Round(sum);
            if (adds)
                rounded = Round(Widen(target + i) + (rounded << 16).AsSingle());
            Narrow(rounded).Store(target + i);
        }

        for (; i < end; i++)
        {
            var sum = Widen(((ushort*)parts[0])[i]);
            for (var part = 1; part < parts.Length; part++)
                sum += Widen(((ushort*)parts[part])[i]);
            var rounded = Round(sum);
            target[i] = adds ? Round(Widen(target[i]) + Widen(rounded)) : rounded;
        }
    }

    private static Vector256<ushort> Narrow(Vector512<uint> value) =>
        Avx512F.IsSupported ? Avx512F.ConvertToVector256UInt16(value) : Vector256.Narrow(value.GetLower(), value.GetUpper());

    private static Vector512<float> Widen(ushort* source)
    {
        if (Avx512F.IsSupported)
            return (Avx512F.ConvertToVector512UInt32(Vector256.Load(source)) << 16).AsSingle();
        var (lower, upper) = Vector256.Widen(Vector256.Load(source));
        return (Vector512.Create(lower, upper) << 16).AsSingle();
    }

    private static float Widen(ushort value) => BitConverter.UInt32BitsToSingle((uint)value << 16);

    // Rounds to nearest, ties to even; NaN stays NaN.
    private static Vector512<uint> Round(Vector512<float> value)
    {
        var bits = value.AsUInt32();
        var rounded = (bits + Vector512.Create(0x7FFFu) + ((bits >> 16) & Vector512<uint>.One)) >> 16;
        return Vector512.ConditionalSelect(Vector512.Equals(value, value).AsUInt32(), rounded, Vector512.Create(0x7FC0u));
    }

    private static ushort Round(float value)
    {
        const ushort notANumber = 0x7FC0;
        var bits = BitConverter.SingleToUInt32Bits(value);
        return float.IsNaN(value) ? notANumber : (ushort)((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
    }
}
