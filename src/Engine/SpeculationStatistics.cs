namespace LocalLlm;

/// <summary>Results of speculative decoding since the start.</summary>
/// <param name="Drafts">How often the engine drafted tokens for a sequence.</param>
/// <param name="DraftTokens">Drafted tokens.</param>
/// <param name="AcceptedTokens">Drafted tokens that the model accepted.</param>
/// <param name="AcceptedTokensPerPosition">Accepted tokens by their position in the draft.</param>
public sealed record SpeculationStatistics(long Drafts, long DraftTokens, long AcceptedTokens, IReadOnlyList<long> AcceptedTokensPerPosition)
{
    /// <summary>Share of drafted tokens that were accepted, 0 to 1.</summary>
    public double AcceptanceRate => DraftTokens == 0 ? 0 : (double)AcceptedTokens / DraftTokens;

    /// <summary>Mean number of tokens that a step with drafts yields for a sequence: the accepted ones, and the one after them.</summary>
    public double MeanAcceptanceLength => Drafts == 0 ? 1 : 1 + ((double)AcceptedTokens / Drafts);
}
