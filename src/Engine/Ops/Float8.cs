using System.Numerics;
using System.Runtime.InteropServices;
using LocalLlm.Interop;
using TorchSharp;
using static TorchSharp.torch;

namespace LocalLlm.Ops;

/// <summary>
/// The 8-bit float e4m3 without infinities (torch's <c>float8_e4m3fn</c>; Micikevicius et al., 2022, FP8 Formats for Deep Learning): sign,
/// 4 bits of exponent with a bias of 7, 3 bits of mantissa. The largest value is 448; 0x7F and 0xFF are NaN.
/// </summary>
internal static class Float8
{
    /// <summary>The largest value.</summary>
    public const float Largest = 448;

    private static readonly float[] s_values = [.. Enumerable.Range(0, 256).Select(bits => Of((byte)bits))];

    /// <summary>The value of every byte: [256].</summary>
    public static ReadOnlySpan<float> Values => s_values;

    /// <summary>The byte of the nearest value, ties to even. Saturates at <see cref="Largest"/>; NaN gives 0x7F.</summary>
    public static byte FromSingle(float value)
    {
        if (float.IsNaN(value))
            return 0x7F;
        var sign = (byte)(float.IsNegative(value) ? 0x80 : 0);
        var magnitude = MathF.Abs(value);
        if (magnitude >= Largest)
            return (byte)(sign | 0x7E);
        // Values ascend with their bytes. A number in the middle between two values gets the even byte.
        var above = s_values.AsSpan(0, 0x7F).BinarySearch(magnitude);
        if (above < 0)
        {
            above = ~above;
            var (lower, upper) = (magnitude - s_values[above - 1], s_values[above] - magnitude);
            if (lower < upper || (lower == upper && above % 2 == 1))
                above--;
        }

        return (byte)(sign | above);
    }

    /// <summary>Whether any element is NaN.</summary>
    /// <param name="bytes">Contiguous, on any device.</param>
    public static unsafe bool HoldsNaN(Tensor bytes)
    {
        if (bytes.device_type != DeviceType.CPU)
            return bytes.bitwise_and(0x7F).IsEqual(0x7F).any().item<bool>();
        var span = new ReadOnlySpan<byte>((void*)bytes.DataPointer(), checked((int)bytes.numel()));
        var magnitudes = new Vector<byte>(0x7F);
        var vectors = MemoryMarshal.Cast<byte, Vector<byte>>(span);
        foreach (var vector in vectors)
        {
            if (Vector.EqualsAny(vector & magnitudes, magnitudes))
                return true;
        }

        foreach (var one in span[(vectors.Length * Vector<byte>.Count)..])
        {
            if ((one & 0x7F) == 0x7F)
                return true;
        }

        return false;
    }

    private static float Of(byte bits)
    {
        var (exponent, mantissa) = ((bits >> 3) & 15, bits & 7);
        if (exponent == 15 && mantissa == 7)
            return float.NaN;
        var magnitude = exponent == 0 ? MathF.ScaleB(mantissa, -9) : MathF.ScaleB(8 + mantissa, exponent - 10);
        return (bits & 0x80) == 0 ? magnitude : -magnitude;
    }
}
