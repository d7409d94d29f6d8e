using LocalLlm.Server.Http;

namespace LocalLlm.Server.OpenAI;

/// <summary>Limits of the server beyond the engine's own: one request must not use up what all requests share.</summary>
internal static class SamplingLimits
{
    /// <summary>OpenAI's own limit.</summary>
    public const int MaxChoices = 128;

    // Each takes some hundred bytes, and all stay in memory until the response is complete.
    private const long MaxLogprobs = 1_000_000;

    /// <summary>
    /// Refuses a request that is not streamed and could have too many log-probabilities to hold until the response is complete.
    /// </summary>
    /// <exception cref="ApiException">400.</exception>
    public static void CheckWhole(SamplingParams sampling, int maxModelLen)
    {
        if (sampling.Logprobs is not { } top)
            return;
        var all = (long)sampling.N * Math.Min(sampling.MaxTokens ?? maxModelLen, maxModelLen) * (1 + Math.Max(top, 0));
        if (all > MaxLogprobs)
            throw new ApiException(ApiError.Invalid($"logprobs: the response could have {all} log-probabilities; a response that is not streamed may have at most {MaxLogprobs}. Ask for fewer tokens, choices or log-probabilities, or stream.", "logprobs"));
    }

    /// <exception cref="ApiException">400.</exception>
    public static void Check(SamplingParams sampling)
    {
        if (sampling.N is < 1 or > MaxChoices)
            throw new ApiException(ApiError.Invalid($"n: given {sampling.N}, allowed 1 to {MaxChoices}", "n"));
        if (!sampling.Detokenize)
            throw new ApiException(ApiError.Unsupported("detokenize: false is not supported, because the server returns text; remove it.", "detokenize"));
    }
}
