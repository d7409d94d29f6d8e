using LocalLlm.Server.Http;

namespace LocalLlm.Server.OpenAI;

/// <summary>Bounds that a server has beyond the engine's: one request must not take what is there for all.</summary>
internal static class SamplingLimits
{
    /// <summary>OpenAI's own limit.</summary>
    public const int MostChoices = 128;

    /// <exception cref="ApiException">400.</exception>
    public static void Check(SamplingParams sampling)
    {
        if (sampling.N is < 1 or > MostChoices)
            throw new ApiException(ApiError.Invalid($"n: given {sampling.N}, allowed 1 to {MostChoices}", "n"));
        if (!sampling.Detokenize)
            throw new ApiException(ApiError.Unsupported("detokenize: false is not supported by the server, whose answers are text; remove it.", "detokenize"));
    }
}
