namespace LocalLlm.Sampling;

/// <summary>
/// Decides from token ids whether a sequence ends, in vLLM's order: an end-of-sequence token, a stop token, then the limits. A stop token
/// at the very last position counts as stop, not as length. Stop strings are checked on the text.
/// </summary>
internal static class StopChecker
{
    /// <summary>Checks a sequence whose last token has just been appended.</summary>
    /// <param name="sampling">The sequence's parameters.</param>
    /// <param name="lastTokenId">The token.</param>
    /// <param name="outputLength">Number of generated tokens, including this one.</param>
    /// <param name="promptLength">Tokens of the prompt.</param>
    /// <param name="maxModelLen">Maximum number of tokens of prompt and output together.</param>
    /// <returns>The decision; null: the sequence continues.</returns>
    public static StopDecision? Check(ValidatedSampling sampling, int lastTokenId, int outputLength, int promptLength, int maxModelLen)
    {
        // The sampler already forbids these tokens before min_tokens; a token forced by other means must not end the sequence either.
        if (outputLength >= sampling.MinTokens)
        {
            if (!sampling.IgnoreEos && sampling.EosTokenIds.Contains(lastTokenId))
                return new StopDecision(FinishReason.Stop, null);
            if (sampling.StopTokenIds.Contains(lastTokenId))
                return new StopDecision(FinishReason.Stop, lastTokenId);
        }

        // min_tokens does not override this: the end of the context is absolute.
        if (outputLength >= sampling.MaxTokens || promptLength + outputLength >= maxModelLen)
            return new StopDecision(FinishReason.Length, null);
        return null;
    }
}
