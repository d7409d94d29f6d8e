namespace LocalLlm.Scheduling;

/// <summary>
/// Guesses how one sequence goes on. It sees every token of the sequence, in order; what it guesses changes the speed alone.
/// </summary>
internal interface IDrafter
{
    /// <summary>Guesses the next tokens.</summary>
    /// <param name="tokens">All known tokens; those of the call before, and further ones.</param>
    /// <param name="numPromptTokens">How many of them are the prompt.</param>
    /// <param name="max">Max number of tokens, at least 0.</param>
    /// <returns>In order, none where no guess is worth its computation; valid until the next call.</returns>
    ReadOnlySpan<int> Propose(ReadOnlySpan<int> tokens, int numPromptTokens, int max);

    /// <summary>Takes what the executor has guessed.</summary>
    /// <param name="drafts">Token ids.</param>
    /// <param name="numTokens">Known tokens that they follow.</param>
    void Offer(ReadOnlySpan<int> drafts, int numTokens)
    {
    }
}
