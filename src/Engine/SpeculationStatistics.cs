namespace LocalLlm;

/// <summary>How speculative decoding went since the start.</summary>
/// <param name="Drafts">How often tokens were drafted for a sequence.</param>
/// <param name="DraftTokens">Tokens that were drafted.</param>
/// <param name="AcceptedTokens">Drafted tokens that the model chose too.</param>
/// <param name="AcceptedTokensPerPosition">The same by their place in the draft.</param>
public sealed record SpeculationStatistics(long Drafts, long DraftTokens, long AcceptedTokens, IReadOnlyList<long> AcceptedTokensPerPosition)
{
    /// <summary>Accepted share of the drafted tokens, 0 to 1.</summary>
    public double AcceptanceRate => DraftTokens == 0 ? 0 : (double)AcceptedTokens / DraftTokens;

    /// <summary>Mean tokens that a step with drafts gave a sequence: the accepted ones, and the one that follows them.</summary>
    public double MeanAcceptanceLength => Drafts == 0 ? 1 : 1 + ((double)AcceptedTokens / Drafts);
}
