using LocalLlm.Sampling;

namespace LocalLlm.Scheduling;

/// <summary>What a step brought one sequence.</summary>
/// <param name="Sequence">The sequence. Its <see cref="Sequence.FinishReason"/> is set if it has ended, in this step or before.</param>
/// <param name="FirstPosition">The first position that the step computed.</param>
/// <param name="NumScheduledTokens">How many positions it computed.</param>
/// <param name="NumNewTokens">How many of the result's tokens, from the first on, were appended.</param>
/// <param name="Failure">Why the sequence ended with <see cref="FinishReason.Error"/>, in words for its caller, if known.</param>
internal readonly record struct SequenceUpdate(Sequence Sequence, int FirstPosition, int NumScheduledTokens, int NumNewTokens, SequenceFailure? Failure);
