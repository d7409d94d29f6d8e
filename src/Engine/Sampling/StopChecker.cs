namespace LocalLlm.Sampling;

/// <summary>
/// Decides from token ids whether a sequence ends, in vLLM's order: an end-of-sequence token, a stop token, then the limits. A sequence
/// that ends in a stop token at its very last position ended by stop. Stop strings are the detokenizer's concern.
/// </summary>
internal static class StopChecker
{
    /// <summary>Looks at a sequence whose last token has just been appended.</summary>
    /// <param name="sampling">Its parameters.</param>
    /// <param name="lastTokenId">The token.</param>
    /// <param name="outputLength">Tokens generated, this one included.</param>
    /// <param name="promptLength">Tokens of the prompt.</param>
    /// <param name="maxModelLen">Most tokens of prompt and output together.</param>
    /// <returns>Null: it goes on.</returns>
    public static StopDecision? Check(ValidatedSampling sampling, int lastTokenId, int outputLength, int promptLength, int maxModelLen)
    {
        // min_tokens already forbids these tokens to the sampler; a token forced by other means must not end the sequence either.
        if (outputLength >= sampling.MinTokens)
        {
            if (!sampling.IgnoreEos && sampling.EosTokenIds.Contains(lastTokenId))
                return new StopDecision(FinishReason.Stop, null);
            if (sampling.StopTokenIds.Contains(lastTokenId))
                return new StopDecision(FinishReason.Stop, lastTokenId);
        }

        // Never behind min_tokens: the context's end is absolute.
        if (outputLength >= sampling.MaxTokens || promptLength + outputLength >= maxModelLen)
            return new StopDecision(FinishReason.Length, null);
        return null;
    }
}
