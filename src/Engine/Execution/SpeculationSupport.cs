using LocalLlm.Models;

namespace LocalLlm.Execution;

/// <summary>Refuses a way to draft that a model does not have.</summary>
internal static class SpeculationSupport
{
    /// <summary>Refuses drafts of the model's own where it has no layers for them.</summary>
    /// <exception cref="EngineException">Kind InvalidOptions.</exception>
    public static void Check(EngineOptions options, ModelConfig config)
    {
        if (options.Speculation is { Method: SpeculationOptions.Mtp } && config.PredictionLayers == 0)
        {
            throw new EngineException(
                EngineErrorKind.InvalidOptions,
                $"speculative_config has the method mtp, but this {config.Architecture} has no layer for multi-token prediction (num_nextn_predict_layers); use the method ngram, which every model has.",
                "speculative_config");
        }
    }
}
