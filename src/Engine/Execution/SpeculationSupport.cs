using LocalLlm.Models;

namespace LocalLlm.Execution;

/// <summary>Refuses a way to draft that a model does not have.</summary>
internal static class SpeculationSupport
{
    /// <summary>Refuses drafts of the model's own where no layers for them are known.</summary>
    /// <exception cref="EngineException">Kind InvalidOptions.</exception>
    public static void Check(EngineOptions options, ModelConfig config)
    {
        if (options.Speculation is { Method: SpeculationOptions.Mtp })
        {
            throw new EngineException(
                EngineErrorKind.InvalidOptions,
                $"speculative_config has the method mtp, but no layer for multi-token prediction is known of {config.Architecture}; use the method ngram, which every model has.",
                "speculative_config");
        }
    }
}
