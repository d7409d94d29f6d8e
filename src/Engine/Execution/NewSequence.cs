using System.Text.Json.Serialization;
using LocalLlm.Sampling;

namespace LocalLlm.Execution;

/// <summary>A sequence that an executor has not seen before. Plain data.</summary>
/// <param name="Id">The sequence's id in every step.</param>
/// <param name="PromptTokenIds">The prompt.</param>
/// <param name="Sampling">How tokens are chosen; a grammar comes as its source.</param>
/// <param name="Index">The sequence's index among its request's n; each has a random stream of its own.</param>
/// <param name="Seed">Seed for sampling if the request has none.</param>
[method: JsonConstructor]
internal readonly record struct NewSequence(long Id, ReadOnlyMemory<int> PromptTokenIds, ValidatedSampling Sampling, int Index, ulong Seed);
