using LocalLlm.Layers;

namespace LocalLlm.Models;

/// <summary>How the layers of one family of dense decoders differ from those of the others.</summary>
internal readonly record struct DecoderVariant
{
    /// <summary>Norms on each query and key head.</summary>
    public bool QkNorm { get; init; }

    /// <summary>Bias on the MLP's projections.</summary>
    public bool MlpBias { get; init; }
}

/// <summary>The layers of dense decoders: grouped-query attention with rotary positions, and a gated MLP.</summary>
internal static class DenseLayers
{
    /// <summary>Returns a factory that builds each layer with the configuration's shape.</summary>
    public static DecoderLayerFactory Of(DecoderConfig config, LayerContext context, DecoderVariant variant)
    {
        var epsilon = (float)config.RmsNormEps;
        return (layer, cache, rotary) =>
        {
            var prefix = $"model.layers.{layer}";
            var options = new AttentionOptions(
                config.HiddenSize,
                config.NumAttentionHeads,
                config.NumKeyValueHeads,
                config.HeadDim,
                config.AttentionBias,
                config.AttentionOutputBias,
                variant.QkNorm ? epsilon : null,
                config.SlidingWindowAt(layer));
            return new(
                new(context, $"{prefix}.input_layernorm", config.HiddenSize, epsilon),
                new Attention(context, $"{prefix}.self_attn", cache, options, rotary),
                new(context, $"{prefix}.post_attention_layernorm", config.HiddenSize, epsilon),
                new GatedMlp(context, $"{prefix}.mlp", config.HiddenSize, config.IntermediateSize, variant.MlpBias));
        };
    }
}
