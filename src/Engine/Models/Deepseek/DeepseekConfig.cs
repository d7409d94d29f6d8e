using LocalLlm.Layers;
using LocalLlm.Models.Rotary;
using LocalLlm.Ops.Cpu;

namespace LocalLlm.Models.Deepseek;

/// <summary>The shape of a DeepSeek-V2 or V3 model: latent attention, and mixtures of experts after some dense layers.</summary>
internal sealed record DeepseekConfig : TransformerConfig
{
    /// <summary>Width of the MLP of a dense layer.</summary>
    public required int IntermediateSize { get; init; }

    /// <summary>Attention heads.</summary>
    public required int NumAttentionHeads { get; init; }

    /// <summary>Width of the queries' latent vector; null: queries are projected directly.</summary>
    public required int? QLoraRank { get; init; }

    /// <summary>Width of the latent vector of keys and values.</summary>
    public required int KvLoraRank { get; init; }

    /// <summary>Dimensions of a query or key head that are not rotated.</summary>
    public required int QkNopeHeadDim { get; init; }

    /// <summary>Rotated dimensions of a query or key head; even. All heads share a token's rotated key.</summary>
    public required int QkRopeHeadDim { get; init; }

    /// <summary>Dimensions of a value head.</summary>
    public required int VHeadDim { get; init; }

    /// <summary>Whether rotated pairs are adjacent elements; false: they are half a head apart.</summary>
    public required bool RopeInterleave { get; init; }

    /// <summary>Bias on the projections to the latent vectors and on the output projection.</summary>
    public required bool AttentionBias { get; init; }

    /// <summary>The mixtures of experts; null: every layer is dense.</summary>
    public required ExpertOptions? Experts { get; init; }

    /// <summary>Layers before the first mixture of experts.</summary>
    public required int FirstKDenseReplace { get; init; }

    /// <summary>Of the layers after those, one in this many (counted from layer 0) is a mixture of experts.</summary>
    public required int MoeLayerFreq { get; init; }

    /// <summary>Layers of multi-token prediction after the last one.</summary>
    public required int NumNextnPredictLayers { get; init; }

    /// <inheritdoc/>
    public override int PredictionLayers => NumNextnPredictLayers;

    /// <inheritdoc/>
    public override int RotaryDim => QkRopeHeadDim;

    /// <summary>
    /// Residual stream and normalised input, queries and their absorbed form, attention over latent vectors and over its heads, and the
    /// wider of a dense MLP and one token's experts.
    /// </summary>
    public override long ActivationElements =>
        (4L * HiddenSize)
        + (QLoraRank ?? 0) + KvLoraRank + QkRopeHeadDim
        + (NumAttentionHeads * (QkNopeHeadDim + (2L * QkRopeHeadDim) + (2L * KvLoraRank) + VHeadDim))
        + Math.Max(3L * IntermediateSize, Experts is { } experts ? experts.Routing.PerToken * ((3L * experts.Width) + (2L * HiddenSize)) + (3L * experts.SharedWidth) : 0);

    /// <summary>The gathered row, its sum in float32 and in the computation's type, and one token's experts.</summary>
    public override long ExpertElements => Experts is { } experts ? (4L * HiddenSize) + (experts.Routing.PerToken * ((3L * experts.Width) + (2L * HiddenSize))) : 0;

    /// <inheritdoc/>
    public override long CpuWorkspaceBytes(long stepTokens, int elementBytes) =>
        CpuWorkspace.ForLatentAttention(Attention.Shape, elementBytes)
        + (Experts is { } experts ? CpuWorkspace.ForExperts(stepTokens, experts.Routing.PerToken, HiddenSize, experts.Width, elementBytes) : 0);

    /// <summary>Whether a layer's MLP is a mixture of experts.</summary>
    public bool HasExperts(int layer) => Experts is not null && layer >= FirstKDenseReplace && layer % MoeLayerFreq == 0;

    /// <summary>The sizes of the attention over all ranks.</summary>
    public LatentAttentionOptions Attention => new()
    {
        HiddenSize = HiddenSize,
        QueryRank = QLoraRank,
        Bias = AttentionBias,
        Shape = new(NumAttentionHeads, KvLoraRank, QkNopeHeadDim, QkRopeHeadDim, VHeadDim, SoftmaxScale, RopeInterleave),
    };

    // As in DeepSeek's own model code: yarn's temperature, squared, is part of the scores' scale.
    private float SoftmaxScale
    {
        get
        {
            var scale = 1 / Math.Sqrt(QkNopeHeadDim + QkRopeHeadDim);
            var temperature = Rope is { RopeType: RopeType.Yarn, MscaleAllDim: { } allDim } ? YarnMscale(Rope.Factor, allDim) : 1;
            return (float)(scale * temperature * temperature);
        }
    }

    /// <summary>YaRN's temperature (arXiv 2309.00071, 3.4) as DeepSeek writes it: 0.1 · mscale · ln(factor) + 1.</summary>
    public static double YarnMscale(double factor, double mscale) => factor <= 1 ? 1 : (0.1 * mscale * Math.Log(factor)) + 1;
}
