namespace LocalLlm.Models;

/// <summary>The largest sequence and step that a model must handle; known when it is built.</summary>
/// <param name="MaxModelLen">Positions that a sequence may reach.</param>
/// <param name="MaxStepTokens">Tokens of the largest step.</param>
internal readonly record struct ModelLimits(int MaxModelLen, int MaxStepTokens)
{
    /// <summary>Whether to build its layers for multi-token prediction (<see cref="ICausalLanguageModel.Predictor"/>).</summary>
    public bool Predicts { get; init; }
}
