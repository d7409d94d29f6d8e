namespace LocalLlm.Scheduling;

/// <summary>
/// Guesses the next tokens of one sequence. It sees every token of the sequence, in order. Its guesses affect only the speed.
/// </summary>
internal interface IDrafter
{
    /// <summary>Guesses the next tokens.</summary>
    /// <param name="tokens">All known tokens: those of the previous call, and new ones.</param>
    /// <param name="numPromptTokens">How many of them belong to the prompt.</param>
    /// <param name="max">Max number of tokens, at least 0.</param>
    /// <returns>The drafts in order, empty if no guess is worth its computation; valid until the next call.</returns>
    ReadOnlySpan<int> Propose(ReadOnlySpan<int> tokens, int numPromptTokens, int max);

    /// <summary>Receives drafts that the executor has guessed.</summary>
    /// <param name="drafts">Token ids.</param>
    /// <param name="numTokens">Number of known tokens before the drafts.</param>
    void Offer(ReadOnlySpan<int> drafts, int numTokens)
    {
    }
}
