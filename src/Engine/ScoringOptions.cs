namespace LocalLlm;

/// <summary>How texts are scored, and what errors call them.</summary>
public sealed record ScoringOptions
{
    /// <summary>How much each kind of score counts; null: <see cref="HybridWeights.Default"/> as far as the model goes.</summary>
    public HybridWeights? Weights { get; init; }

    /// <summary>Tokens at which a query is cut; null: one that is too long is refused.</summary>
    public int? CutQueriesAt { get; init; }

    /// <summary>Tokens at which a passage is cut; null: one that is too long is refused.</summary>
    public int? CutPassagesAt { get; init; }

    /// <summary>What the caller calls the queries.</summary>
    public string Queries { get; init; } = "queries";

    /// <summary>What the caller calls the passages.</summary>
    public string Passages { get; init; } = "passages";
}
