using LocalLlm.Layers;

namespace LocalLlm.Models;

/// <summary>Which class runs which architecture of config.json.</summary>
internal static class ModelRegistry
{
    private static readonly Dictionary<string, Func<ModelConfig, LayerContext, int, int, ICausalLanguageModel>> Factories = new(StringComparer.Ordinal)
    {
        ["LlamaForCausalLM"] = Llama,
        ["MistralForCausalLM"] = Llama,
        ["Qwen2ForCausalLM"] = Llama,
        ["Qwen3ForCausalLM"] = Llama,
    };

    /// <summary>Builds a model and registers its weights with the context; nothing is loaded yet.</summary>
    /// <param name="config">A validated config.json.</param>
    /// <param name="context">What layers are built with.</param>
    /// <param name="maxModelLen">Positions to prepare for.</param>
    /// <param name="maxStepTokens">Tokens of the largest step.</param>
    /// <exception cref="EngineException">Kind ModelFolder: no class runs this architecture.</exception>
    public static ICausalLanguageModel Create(ModelConfig config, LayerContext context, int maxModelLen, int maxStepTokens) =>
        Factories.TryGetValue(config.Architecture, out var create)
            ? create(config, context, maxModelLen, maxStepTokens)
            : throw EngineException.ModelFolder(ModelConfig.FileName, $"architecture {config.Architecture} is not supported. Supported: {string.Join(", ", Factories.Keys)}.");

    private static LlamaForCausalLM Llama(ModelConfig config, LayerContext context, int maxModelLen, int maxStepTokens) =>
        new(config, context, maxModelLen, maxStepTokens);
}
