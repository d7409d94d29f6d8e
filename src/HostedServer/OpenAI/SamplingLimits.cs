using LocalLlm.Server.Http;

namespace LocalLlm.Server.OpenAI;

/// <summary>Bounds that a server has beyond the engine's: one request must not take what is there for all.</summary>
internal static class SamplingLimits
{
    /// <summary>OpenAI's own limit.</summary>
    public const int MaxChoices = 128;

    // Some hundred bytes each, all of them in memory until the answer is whole.
    private const long MaxLogprobs = 1_000_000;

    /// <summary>Refuses an answer whose log-probabilities would not be sent before all of them are there, and are too many.</summary>
    /// <exception cref="ApiException">400.</exception>
    public static void CheckWhole(SamplingParams sampling, int maxModelLen)
    {
        if (sampling.Logprobs is not { } top)
            return;
        var all = (long)sampling.N * Math.Min(sampling.MaxTokens ?? maxModelLen, maxModelLen) * (1 + Math.Max(top, 0));
        if (all > MaxLogprobs)
            throw new ApiException(ApiError.Invalid($"logprobs: the answer could have {all} log-probabilities, and {MaxLogprobs} are sent at most in one piece. Ask for fewer tokens, choices or log-probabilities, or for a stream.", "logprobs"));
    }

    /// <exception cref="ApiException">400.</exception>
    public static void Check(SamplingParams sampling)
    {
        if (sampling.N is < 1 or > MaxChoices)
            throw new ApiException(ApiError.Invalid($"n: given {sampling.N}, allowed 1 to {MaxChoices}", "n"));
        if (!sampling.Detokenize)
            throw new ApiException(ApiError.Unsupported("detokenize: false is not supported by the server, whose answers are text; remove it.", "detokenize"));
    }
}
