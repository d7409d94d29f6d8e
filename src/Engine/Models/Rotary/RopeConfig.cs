namespace LocalLlm.Models.Rotary;

/// <summary>
/// The rotary embedding of a model: transformers' <c>rope_parameters</c> (or <c>rope_theta</c> and <c>rope_scaling</c>), resolved.
/// Values that the type does not use keep their defaults.
/// </summary>
internal sealed record RopeConfig
{
    /// <summary>The kind of scaling.</summary>
    public RopeType RopeType { get; init; }

    /// <summary>The base of the frequencies.</summary>
    public double Theta { get; init; } = 10_000;

    /// <summary>The factor that stretches the context.</summary>
    public double Factor { get; init; } = 1;

    /// <summary>llama3: wavelengths above (original length / this factor) are divided by <see cref="Factor"/>.</summary>
    public double LowFreqFactor { get; init; } = 1;

    /// <summary>llama3: wavelengths below (original length / this factor) are kept.</summary>
    public double HighFreqFactor { get; init; } = 4;

    /// <summary>llama3, yarn: the context before stretching; null for the other types.</summary>
    public int? OriginalMaxPositionEmbeddings { get; init; }

    /// <summary>
    /// yarn: the scale on cos and sin; null derives it from <see cref="Factor"/>, <see cref="Mscale"/> and <see cref="MscaleAllDim"/>.
    /// </summary>
    public double? AttentionFactor { get; init; }

    /// <summary>yarn: rotations over the original context above which a dimension is kept.</summary>
    public double BetaFast { get; init; } = 32;

    /// <summary>yarn: rotations over the original context below which a dimension is divided by <see cref="Factor"/>.</summary>
    public double BetaSlow { get; init; } = 1;

    /// <summary>yarn, DeepSeek: numerator of the derived scale; null or 0 counts as absent.</summary>
    public double? Mscale { get; init; }

    /// <summary>yarn, DeepSeek: denominator of the derived scale; null or 0 counts as absent.</summary>
    public double? MscaleAllDim { get; init; }

    /// <summary>yarn: whether the ramp's ends are rounded to whole dimensions.</summary>
    public bool Truncate { get; init; } = true;

    /// <summary>The fraction of a head that is rotated: above 0, at most 1.</summary>
    public double PartialRotaryFactor { get; init; } = 1;
}
