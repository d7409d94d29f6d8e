using LocalLlm.Layers;

namespace LocalLlm.Models.Llama;

/// <summary>The Llama decoder; Mistral's is the same with a sliding window.</summary>
internal sealed class LlamaForCausalLM(LlamaConfig config, LayerContext context, ModelLimits limits)
    : DecoderModel(config, context, limits, DenseLayers.Of(config, context, new() { MlpBias = config.MlpBias }));
