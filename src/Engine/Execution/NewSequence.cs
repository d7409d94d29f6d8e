using System.Text.Json.Serialization;
using LocalLlm.Sampling;

namespace LocalLlm.Execution;

/// <summary>A sequence that an executor has not seen before. Plain data.</summary>
/// <param name="Id">Its id in every step.</param>
/// <param name="PromptTokenIds">Its prompt.</param>
/// <param name="Sampling">How its tokens are chosen; a grammar comes as its source.</param>
/// <param name="Index">Which of its request's n sequences it is; each draws from its own stream.</param>
/// <param name="Seed">Seed of the draws, where the request gives none.</param>
[method: JsonConstructor]
internal readonly record struct NewSequence(long Id, ReadOnlyMemory<int> PromptTokenIds, ValidatedSampling Sampling, int Index, ulong Seed);
