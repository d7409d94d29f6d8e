using System.Text.Json.Serialization;
using LocalLlm.Sampling;

namespace LocalLlm.Execution;

/// <summary>A step's result for one of its sequences. Plain data.</summary>
/// <param name="SequenceId">The sequence.</param>
/// <param name="Sampled">
/// The next tokens, in order; the last may be a <see cref="SampledToken.Error"/>. Always empty if the entry samples no token
/// (<see cref="ScheduledSequence.SamplesToken"/>). If it does and this is empty, nothing was sampled, and the last position is computed
/// again. Drafts that equal the sampled tokens are accepted: their positions count as computed.
/// </param>
/// <param name="PromptLogprobs">If requested, those of the prompt tokens that follow this chunk's positions.</param>
/// <param name="Failure">Why the sequence must end with an error, whatever was sampled; null: no failure.</param>
/// <param name="Drafts">The model's own guesses of the tokens after the last of <paramref name="Sampled"/>; may be empty.</param>
[method: JsonConstructor]
internal readonly record struct SequenceResult(
    long SequenceId, ReadOnlyMemory<SampledToken> Sampled, IReadOnlyList<TokenLogprobs>? PromptLogprobs = null, SequenceFailure? Failure = null,
    ReadOnlyMemory<int> Drafts = default);
