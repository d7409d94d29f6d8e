using static TorchSharp.torch;

namespace LocalLlm.Ops;

/// <summary>
/// Rows of 8-bit floats that share a scale. The scale is a power of two in one byte: its exponent plus 127, or 255 for NaN (E8M0 of the OCP
/// Microscaling Formats, 2023). It brings the largest element of the row to between 224 and 448. Scaling by a power of two rounds nothing:
/// elements keep the precision of e4m3 whatever the magnitude of their row. A row that holds NaN reads as all NaN.
/// </summary>
internal static class Float8Row
{
    /// <summary>The scale of a row that holds NaN.</summary>
    public const byte NaN = 255;

    private static readonly float[] s_scales = [.. Enumerable.Range(0, 256).Select(bits => Value((byte)bits))];

    /// <summary>The scale of a row by its largest magnitude, NaN included.</summary>
    public static byte ScaleOf(float largest)
    {
        // 448 is 1.75 · 2^8: a magnitude above 1.75 times a power of two takes the next power.
        const int roundsUp = 0x1FFFFF;
        const int largestExponent = 8;
        return float.IsNaN(largest) ? NaN
            : (byte)Math.Clamp(((BitConverter.SingleToInt32Bits(largest) + roundsUp) >> 23) - largestExponent, 1, NaN - 1);
    }

    /// <summary>The factor on elements when they are read.</summary>
    public static float Value(byte scale) => scale == NaN ? float.NaN : BitConverter.Int32BitsToSingle(scale << 23);

    /// <summary>The factor on elements before they are stored.</summary>
    public static float Inverse(byte scale) => scale == NaN ? 0 : BitConverter.Int32BitsToSingle((254 - scale) << 23);

    /// <summary>The plain version, in the host's memory: rows [..., width] in float32 → bytes [..., width] and scales [...].</summary>
    public static (Tensor Bytes, Tensor Scales) Encode(Tensor rows)
    {
        var source = rows.cpu().contiguous().data<float>();
        var width = (int)rows.shape[^1];
        var (bytes, scales) = (new byte[source.Count], new byte[source.Count / width]);
        for (var row = 0; row < scales.Length; row++)
        {
            var largest = 0f;
            for (var i = 0; i < width; i++)
                largest = MathF.Max(largest, MathF.Abs(source[(row * width) + i])); // NaN is the largest
            scales[row] = ScaleOf(largest);
            for (var i = 0; i < width; i++)
                bytes[(row * width) + i] = Float8.FromSingle(source[(row * width) + i] * Inverse(scales[row]));
        }

        return (tensor(bytes, ScalarType.Byte).view(rows.shape), tensor(scales, ScalarType.Byte).view(rows.shape[..^1]));
    }

    /// <summary>Bytes [..., width] and scales [...] → float32 [..., width].</summary>
    public static Tensor Decode(Tensor bytes, Tensor scales) =>
        Look(Float8.Values, bytes) * Look(s_scales, scales).unsqueeze(-1);

    private static Tensor Look(ReadOnlySpan<float> table, Tensor bytes)
    {
        using var values = tensor(table.ToArray(), device: bytes.device);
        using var indices = bytes.reshape(-1).to(ScalarType.Int32);
        return values.index_select(0, indices).view(bytes.shape);
    }
}
