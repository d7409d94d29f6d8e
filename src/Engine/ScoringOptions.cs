namespace LocalLlm;

/// <summary>How texts are scored, and what errors call the texts.</summary>
public sealed record ScoringOptions
{
    /// <summary>
    /// The weight of each kind of score; null: <see cref="HybridWeights.Default"/> without the kinds that the model lacks.
    /// </summary>
    public HybridWeights? Weights { get; init; }

    /// <summary>Number of tokens at which a query is cut; null: a query that is too long is refused.</summary>
    public int? CutQueriesAt { get; init; }

    /// <summary>Number of tokens at which a passage is cut; null: a passage that is too long is refused.</summary>
    public int? CutPassagesAt { get; init; }

    /// <summary>The caller's name for the queries.</summary>
    public string Queries { get; init; } = "queries";

    /// <summary>The caller's name for the passages.</summary>
    public string Passages { get; init; } = "passages";
}
