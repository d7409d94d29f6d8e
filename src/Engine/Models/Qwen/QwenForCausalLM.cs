using LocalLlm.Layers;

namespace LocalLlm.Models.Qwen;

/// <summary>The Qwen decoder: Qwen2's has biases on q, k and v, Qwen3's norms on query and key heads.</summary>
internal sealed class QwenForCausalLM(QwenConfig config, LayerContext context, ModelLimits limits)
    : DecoderModel(config, context, limits, DenseLayers.Of(config, context, new() { QkNorm = config.QkNorm }));
