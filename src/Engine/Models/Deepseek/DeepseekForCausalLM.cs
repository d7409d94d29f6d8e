using LocalLlm.Layers;
using LocalLlm.Weights;

namespace LocalLlm.Models.Deepseek;

/// <summary>The DeepSeek decoder: layers with latent attention and either a dense MLP or a mixture of experts.</summary>
internal sealed class DeepseekForCausalLM : DecoderModel
{
    /// <summary>Builds the layers and registers their weights; nothing is loaded yet.</summary>
    public DeepseekForCausalLM(DeepseekConfig config, LayerContext context, ModelLimits limits)
        : base(config, context, limits, LayerFactory(config, context))
    {
        if (limits.Predicts)
        {
            AddPredictor(parts =>
            {
                var predictor = new DeepseekPredictor(config, context, parts, LayerFactory(config, context));
                return (predictor, predictor.Cache);
            });
        }

        // They include copies of the embedding and the head.
        context.Weights.Ignore(name => IsOfPrediction(name, config));
    }

    private static DecoderLayerFactory LayerFactory(DeepseekConfig config, LayerContext context)
    {
        var epsilon = (float)config.RmsNormEps;
        return (layer, cache, rotary) =>
        {
            var prefix = $"model.layers.{layer}";
            return new(
                new(context, $"{prefix}.input_layernorm", config.HiddenSize, epsilon),
                new LatentAttention(context, $"{prefix}.self_attn", cache, config.Attention, rotary),
                new(context, $"{prefix}.post_attention_layernorm", config.HiddenSize, epsilon),
                config.HasExperts(layer)
                    ? new MixtureOfExperts(context, $"{prefix}.mlp", config.HiddenSize, config.Experts!)
                    : new GatedMlp(context, $"{prefix}.mlp", config.HiddenSize, config.IntermediateSize, bias: false));
        };
    }

    // The layers of multi-token prediction come after the last one.
    private static bool IsOfPrediction(string name, DeepseekConfig config) =>
        WeightNames.NumberAfter(WeightNames.Layers, name) is { } layer
        && layer >= config.NumHiddenLayers && layer < config.NumHiddenLayers + config.NumNextnPredictLayers;
}
