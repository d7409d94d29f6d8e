namespace LocalLlm.Models.Rotary;

/// <summary>
/// The inverse frequencies of rotary embeddings, as <c>transformers.modeling_rope_utils</c> computes them. The arithmetic is float32 where
/// the reference uses tensors (double precision would differ by up to 1e-6), and double where it uses Python numbers.
/// </summary>
internal static class RotaryFrequencies
{
    /// <summary>The inverse frequencies and the scale that multiplies cos and sin.</summary>
    /// <param name="rope">The scaling, already validated.</param>
    /// <param name="headDim">Dimensions of a head (for DeepSeek's latent attention: of its rotated part).</param>
    /// <param name="maxPositionEmbeddings">The model's context length from config.json.</param>
    /// <param name="seqLen">
    /// The length of the rotated sequence; only <see cref="RopeType.Dynamic"/> uses it. Null, or a length up to
    /// <paramref name="maxPositionEmbeddings"/>, gives the unscaled frequencies. transformers recomputes them for every longer
    /// sequence; an engine that caches rotated keys needs one base per run and passes <see cref="FixedDynamicLength"/>.
    /// </param>
    /// <returns><c>InvFreq</c>: [rotary_dim / 2].</returns>
    /// <exception cref="ArgumentOutOfRangeException">
    /// The rotated part of a head is not a positive even number (above 2 for dynamic).
    /// </exception>
    public static (float[] InvFreq, float AttentionScaling) Compute(
        RopeConfig rope, int headDim, int maxPositionEmbeddings, long? seqLen = null)
    {
        var dim = (int)(headDim * rope.PartialRotaryFactor);
        ArgumentOutOfRangeException.ThrowIfLessThan(dim, rope.RopeType == RopeType.Dynamic ? 4 : 2, nameof(headDim));
        ArgumentOutOfRangeException.ThrowIfNotEqual(dim % 2, 0, nameof(headDim));
        return rope.RopeType switch
        {
            RopeType.Linear => (Linear(rope, dim), 1),
            RopeType.Dynamic => (Dynamic(rope, dim, maxPositionEmbeddings, seqLen), 1),
            RopeType.Llama3 => (Llama3(rope, dim, maxPositionEmbeddings), 1),
            RopeType.Yarn => (Yarn(rope, dim, maxPositionEmbeddings), (float)YarnAttentionFactor(rope)),
            _ => (Unscaled(rope.Theta, dim), 1),
        };
    }

    /// <summary>
    /// The length at which vLLM fixes the base of dynamic NTK for all positions: the whole stretched context,
    /// <paramref name="maxPositionEmbeddings"/> × factor. Even short sequences are then rotated with the stretched base; below that length
    /// this differs from transformers.
    /// </summary>
    public static long FixedDynamicLength(RopeConfig rope, int maxPositionEmbeddings) =>
        (long)Math.Ceiling(maxPositionEmbeddings * rope.Factor);

    private static float[] Unscaled(double theta, int dim)
    {
        var powers = Powers(theta, dim);
        for (var i = 0; i < powers.Length; i++)
            powers[i] = 1f / powers[i];
        return powers;
    }

    // theta^(2i / dim): [dim / 2]
    private static float[] Powers(double theta, int dim)
    {
        var powers = new float[dim / 2];
        for (var i = 0; i < powers.Length; i++)
            powers[i] = (float)Math.Pow((float)theta, (float)(2 * i) / dim);
        return powers;
    }

    private static float[] Linear(RopeConfig rope, int dim)
    {
        var invFreq = Unscaled(rope.Theta, dim);
        for (var i = 0; i < invFreq.Length; i++)
            invFreq[i] /= (float)rope.Factor;
        return invFreq;
    }

    private static float[] Dynamic(RopeConfig rope, int dim, int maxPositionEmbeddings, long? seqLen)
    {
        var length = Math.Max(seqLen ?? 0, maxPositionEmbeddings);
        var stretch = (rope.Factor * length / maxPositionEmbeddings) - (rope.Factor - 1);
        return Unscaled(rope.Theta * Math.Pow(stretch, (double)dim / (dim - 2)), dim);
    }

    private static float[] Llama3(RopeConfig rope, int dim, int maxPositionEmbeddings)
    {
        double original = rope.OriginalMaxPositionEmbeddings ?? maxPositionEmbeddings;
        var (factor, low, high) = ((float)rope.Factor, (float)rope.LowFreqFactor, (float)rope.HighFreqFactor);
        var longest = (float)(original / rope.LowFreqFactor);
        var shortest = (float)(original / rope.HighFreqFactor);
        var invFreq = Unscaled(rope.Theta, dim);
        for (var i = 0; i < invFreq.Length; i++)
        {
            var wavelength = 1f / invFreq[i] * (float)(2 * Math.PI);
            if (wavelength > longest)
            {
                invFreq[i] /= factor;
            }
            else if (wavelength >= shortest)
            {
                var smooth = ((1f / wavelength * (float)original) - low) / (float)(rope.HighFreqFactor - rope.LowFreqFactor);
                invFreq[i] = ((1 - smooth) * invFreq[i] / factor) + (smooth * invFreq[i]);
            }
        }

        return invFreq;
    }

    private static float[] Yarn(RopeConfig rope, int dim, int maxPositionEmbeddings)
    {
        double original = rope.OriginalMaxPositionEmbeddings ?? maxPositionEmbeddings;
        var low = CorrectionDim(rope.BetaFast);
        var high = CorrectionDim(rope.BetaSlow);
        if (rope.Truncate)
            (low, high) = (Math.Floor(low), Math.Ceiling(high));
        (low, high) = (Math.Max(low, 0), Math.Min(high, dim - 1));
        if (low == high)
            high += 0.001; // the reference's guard against a ramp of zero width

        var invFreq = Powers(rope.Theta, dim);
        for (var i = 0; i < invFreq.Length; i++)
        {
            var kept = 1f / invFreq[i];
            var divided = 1f / ((float)rope.Factor * invFreq[i]);
            var ramp = Math.Clamp((i - (float)low) / (float)(high - low), 0f, 1f);
            var keep = 1 - ramp;
            invFreq[i] = (divided * (1 - keep)) + (kept * keep);
        }

        return invFreq;

        // The (fractional) dimension that makes this many rotations over the original context.
        double CorrectionDim(double rotations) =>
            dim * Math.Log(original / (rotations * 2 * Math.PI)) / (2 * Math.Log(rope.Theta));
    }

    private static double YarnAttentionFactor(RopeConfig rope)
    {
        if (rope.AttentionFactor is { } given)
            return given;
        return rope is { Mscale: { } mscale and not 0, MscaleAllDim: { } allDim and not 0 }
            ? Scale(mscale) / Scale(allDim)
            : Scale(1);

        double Scale(double mscale) => rope.Factor <= 1 ? 1 : (0.1 * mscale * Math.Log(rope.Factor)) + 1;
    }
}
