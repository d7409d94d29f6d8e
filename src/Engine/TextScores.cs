namespace LocalLlm;

/// <summary>How well pairs of texts match.</summary>
/// <param name="Scores">One score for each pair, in the order of the pairs; higher is better.</param>
/// <param name="TokenCount">Tokens of all texts, each counted once, special ones included.</param>
public sealed record TextScores(IReadOnlyList<double> Scores, long TokenCount);

/// <summary>A document and its score.</summary>
/// <param name="Index">The document's index among the given documents.</param>
/// <param name="Score">Higher is better.</param>
public sealed record RankedText(int Index, double Score);

/// <summary>Documents ordered by how well they answer a query.</summary>
/// <param name="Results">The best first; documents with equal scores keep their order.</param>
/// <param name="TokenCount">Tokens of the query and all documents, special ones included.</param>
public sealed record RankedTexts(IReadOnlyList<RankedText> Results, long TokenCount);
