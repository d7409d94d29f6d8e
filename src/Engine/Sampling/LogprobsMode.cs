namespace LocalLlm.Sampling;

/// <summary>What the returned log-probabilities are: vLLM's <c>--logprobs-mode</c>.</summary>
public enum LogprobsMode
{
    /// <summary>Log-softmax of the model's logits, before any processor. The default.</summary>
    RawLogprobs,

    /// <summary>The model's logits, before any processor.</summary>
    RawLogits,

    /// <summary>
    /// Log-softmax of the logits that the token was drawn from: after all processors, temperature, min_p, top_k and top_p.
    /// Removed tokens have -Infinity.
    /// </summary>
    ProcessedLogprobs,

    /// <summary>The logits that the token was drawn from. Removed tokens have -Infinity.</summary>
    ProcessedLogits,
}
