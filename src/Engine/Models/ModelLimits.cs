namespace LocalLlm.Models;

/// <summary>What a model may be asked for, known when it is built.</summary>
/// <param name="MaxModelLen">Positions that a sequence may reach.</param>
/// <param name="MaxStepTokens">Tokens of the largest step.</param>
internal readonly record struct ModelLimits(int MaxModelLen, int MaxStepTokens)
{
    /// <summary>Whether its layers for multi-token prediction are wanted (<see cref="ICausalLanguageModel.Predictor"/>).</summary>
    public bool Predicts { get; init; }
}
