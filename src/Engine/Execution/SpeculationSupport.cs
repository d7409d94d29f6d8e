using LocalLlm.Models;

namespace LocalLlm.Execution;

/// <summary>Refuses a drafting method that the model does not support.</summary>
internal static class SpeculationSupport
{
    /// <summary>Refuses drafts by the model itself if it has no layers for them.</summary>
    /// <exception cref="EngineException">Kind InvalidOptions.</exception>
    public static void Check(EngineOptions options, ModelConfig config)
    {
        if (PredictionSupport.FaultOf(options, config.Architecture, config.PredictionLayers) is { } fault)
            throw new EngineException(EngineErrorKind.InvalidOptions, $"{PredictionSupport.Option} {fault}.", PredictionSupport.Option);
    }
}
