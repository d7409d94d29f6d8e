using System.Text.Json.Serialization;
using LocalLlm.Sampling;

namespace LocalLlm.Execution;

/// <summary>What a step gave for one of its sequences. Plain data.</summary>
/// <param name="SequenceId">The sequence.</param>
/// <param name="Sampled">
/// The next tokens, in order; the last may be a <see cref="SampledToken.Error"/>. Always empty where the entry samples no token
/// (<see cref="ScheduledSequence.SamplesToken"/>); empty where it does: nothing was sampled, and its last position is computed again.
/// Drafts that they repeat are accepted: their positions count as computed.
/// </param>
/// <param name="PromptLogprobs">Of the prompt tokens that follow this chunk's positions, when they were asked for.</param>
/// <param name="Failure">Why the sequence must end with an error, whatever was sampled; null: it is sound.</param>
/// <param name="Drafts">What the model itself guesses of the tokens after the last of <paramref name="Sampled"/>; empty: nothing.</param>
[method: JsonConstructor]
internal readonly record struct SequenceResult(
    long SequenceId, ReadOnlyMemory<SampledToken> Sampled, IReadOnlyList<TokenLogprobs>? PromptLogprobs = null, SequenceFailure? Failure = null,
    ReadOnlyMemory<int> Drafts = default);
