using LocalLlm.Execution;

namespace LocalLlm.Scheduling;

/// <summary>Creates the scheduler's sequences for a validated request.</summary>
internal static class RequestSequences
{
    /// <summary>Creates the request's n sequences.</summary>
    /// <param name="request">The request.</param>
    /// <param name="capabilities">The executor's capabilities.</param>
    /// <param name="drawSeed">Draws a seed; called once if the request has none.</param>
    /// <param name="nextId">The id of the next sequence.</param>
    public static Sequence[] Create(LiveRequest request, ExecutorCapabilities capabilities, Func<ulong> drawSeed, ref long nextId)
    {
        var sampling = request.Sampling;
        var seed = sampling.Seed is null ? drawSeed() : 0;
        var length = request.PromptTokenIds.Length;
        var salt = capabilities.DependsOnPromptLength(length) ? $"{request.CacheSalt}\0{length}" : request.CacheSalt;
        var sequences = new Sequence[sampling.N];
        for (var i = 0; i < sequences.Length; i++)
        {
            sequences[i] = new(nextId++, request.PromptTokenIds, sampling.MaxTokens, salt)
            {
                Sampling = sampling,
                Index = i,
                Seed = seed,
                Priority = request.Priority,
                SkipReadingPrefixCache = sampling.SkipReadingPrefixCache,
                NeedsPromptLogits = sampling.PromptLogprobs is not null && i == 0,
            };
        }

        return sequences;
    }
}
