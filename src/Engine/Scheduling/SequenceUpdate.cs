using LocalLlm.Sampling;

namespace LocalLlm.Scheduling;

/// <summary>What a step brought one sequence.</summary>
/// <param name="Sequence">The sequence. Its <see cref="Sequence.FinishReason"/> is set where it has ended, with this step or
/// before.</param>
/// <param name="FirstPosition">The first position that the step computed.</param>
/// <param name="NumScheduledTokens">How many positions it computed.</param>
/// <param name="NumNewTokens">How many tokens were appended: the first of the result's.</param>
/// <param name="Failure">Why it ended with <see cref="FinishReason.Error"/>, in words for its caller, where that is known.</param>
internal readonly record struct SequenceUpdate(Sequence Sequence, int FirstPosition, int NumScheduledTokens, int NumNewTokens, SequenceFailure? Failure);
