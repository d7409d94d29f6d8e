using LocalLlm.Sampling;

namespace LocalLlm.Execution;

/// <summary>What a step gave for one of its sequences, in the order of the step.</summary>
/// <param name="SequenceId">The sequence.</param>
/// <param name="Sampled">The token, or why there is none; null where the chunk did not reach the end of the known tokens.</param>
/// <param name="PromptLogprobs">Of the prompt tokens that follow this chunk's positions, when asked for.</param>
/// <param name="Failure">Why the prompt's log-probabilities could not be read; the sequence must end.</param>
internal readonly record struct SequenceResult(
    long SequenceId, SampledToken? Sampled, IReadOnlyList<TokenLogprobs>? PromptLogprobs, EngineException? Failure);
