namespace LocalLlm.Models;

/// <summary>Checks whether a model has the layers of multi-token prediction that the options ask for.</summary>
internal static class PredictionSupport
{
    /// <summary>The option that errors name.</summary>
    public const string Option = "speculative_config";

    /// <summary>The problem, to follow the option's name in a message; null: none.</summary>
    /// <param name="options">What the engine is loaded with.</param>
    /// <param name="architecture">The model's architecture.</param>
    /// <param name="layers">Number of its layers of multi-token prediction.</param>
    public static string? FaultOf(EngineOptions options, string architecture, int layers) =>
        options.Speculation is { Method: SpeculationOptions.Mtp } && layers == 0
            ? $"has the method mtp, but this {architecture} has no layer for multi-token prediction (num_nextn_predict_layers); use the method ngram, which every model has" : null;
}
