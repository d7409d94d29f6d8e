namespace LocalLlm;

/// <summary>How well texts fit one another.</summary>
/// <param name="Scores">One for each pair, in their order; higher is better.</param>
/// <param name="TokenCount">Tokens of all texts, each counted once, special ones included.</param>
public sealed record TextScores(IReadOnlyList<double> Scores, long TokenCount);

/// <summary>A document in its place.</summary>
/// <param name="Index">Its index among those that were given.</param>
/// <param name="Score">Higher is better.</param>
public sealed record RankedText(int Index, double Score);

/// <summary>Documents by how well they answer a query.</summary>
/// <param name="Results">The best first; of equals the one that was given first.</param>
/// <param name="TokenCount">Tokens of the query and all documents, special ones included.</param>
public sealed record RankedTexts(IReadOnlyList<RankedText> Results, long TokenCount);
