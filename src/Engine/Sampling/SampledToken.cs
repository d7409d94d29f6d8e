using System.Text.Json.Serialization;

namespace LocalLlm.Sampling;

/// <summary>The result of sampling one row of logits.</summary>
/// <param name="TokenId">The token, or -1 if there is an <paramref name="Error"/>.</param>
/// <param name="Logprobs">The log-probabilities, if the request asks for them.</param>
/// <param name="Error">Why there is no token.</param>
/// <param name="Cause">The error in words for the caller, if more is known than <paramref name="Error"/> says.</param>
[method: JsonConstructor]
internal readonly record struct SampledToken(int TokenId, TokenLogprobs? Logprobs = null, SampleError Error = SampleError.None, SequenceFailure? Cause = null)
{
    public static SampledToken Failed(SampleError error, SequenceFailure? cause = null) => new(-1, null, error, cause);

    /// <summary>The error in words for the caller of the request, or null.</summary>
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
