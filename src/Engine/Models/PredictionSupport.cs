namespace LocalLlm.Models;

/// <summary>Whether a model has the layers of multi-token prediction that options ask for.</summary>
internal static class PredictionSupport
{
    /// <summary>The option to blame.</summary>
    public const string Option = "speculative_config";

    /// <summary>What is wrong, to follow the option's name; null: nothing.</summary>
    /// <param name="options">What the engine is loaded with.</param>
    /// <param name="architecture">The model's.</param>
    /// <param name="layers">Layers of multi-token prediction that it has.</param>
    public static string? FaultOf(EngineOptions options, string architecture, int layers) =>
        options.Speculation is { Method: SpeculationOptions.Mtp } && layers == 0
            ? $"has the method mtp, but this {architecture} has no layer for multi-token prediction (num_nextn_predict_layers); use the method ngram, which every model has" : null;
}
