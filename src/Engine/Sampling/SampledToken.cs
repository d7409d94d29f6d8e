using System.Text.Json.Serialization;

namespace LocalLlm.Sampling;

/// <summary>What one row of logits gave.</summary>
/// <param name="TokenId">The token, or -1 where <paramref name="Error"/> says why there is none.</param>
/// <param name="Logprobs">The log-probabilities, where the request asks for them.</param>
/// <param name="Error">Why there is no token.</param>
/// <param name="Cause">The error in the caller's words, where more is known than <paramref name="Error"/> says.</param>
[method: JsonConstructor]
internal readonly record struct SampledToken(int TokenId, TokenLogprobs? Logprobs = null, SampleError Error = SampleError.None, SequenceFailure? Cause = null)
{
    public static SampledToken Failed(SampleError error, SequenceFailure? cause = null) => new(-1, null, error, cause);

    /// <summary>The error as the caller of the request sees it, or null.</summary>
    public SequenceFailure? ToFailure() => Error switch
    {
        SampleError.None => null,
        _ when Cause is not null => Cause,
        SampleError.NonFiniteLogits => new(
            EngineErrorKind.GenerationFailed,
            "non-finite logits: the model computed NaN or Infinity for this request; check the model's weights and data type"),
        _ => new(
            EngineErrorKind.GenerationFailed,
            "no token is left: allowed_token_ids, bad_words, min_tokens and the grammar together forbid every token; allow more"),
    };
}
