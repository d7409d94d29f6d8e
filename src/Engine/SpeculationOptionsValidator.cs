namespace LocalLlm;

/// <summary>Checks <see cref="SpeculationOptions"/>.</summary>
internal static class SpeculationOptionsValidator
{
    private const string Name = "speculative_config";

    /// <summary>Every fault that can be found without the model.</summary>
    /// <param name="options">What the engine is loaded with.</param>
    public static IEnumerable<(string Name, string Message)> FaultsOf(EngineOptions options)
    {
        if (options.Speculation is not { } given)
            yield break;
        const string methods = "ngram (prompt look-up) and mtp (the model's own layers for it)";
        if (given.Method is not (SpeculationOptions.Ngram or SpeculationOptions.Mtp))
            yield return (Name, given.Method is null ? $"has no method; allowed: {methods}" : $"has the method '{given.Method}'; allowed: {methods}");
        if (given.NumSpeculativeTokens is not { } drafts)
            yield return (Name, $"has no num_speculative_tokens; give 1 to {SpeculationOptions.Max}");
        else if (drafts is < 1 or > SpeculationOptions.Max)
            yield return (Name, $"has num_speculative_tokens {drafts}; allowed: 1 to {SpeculationOptions.Max}");
        else if (drafts >= options.StepTokens)
            yield return (Name, $"has num_speculative_tokens {drafts}, but a step computes {options.StepTokens} tokens (max_num_batched_tokens), which must hold them and one more; lower the first or raise the second");
        if (given.Method == SpeculationOptions.Ngram)
        {
            if (given.LookupMax is < 1 or > SpeculationOptions.Max)
                yield return (Name, $"has prompt_lookup_max {given.LookupMax}; allowed: 1 to {SpeculationOptions.Max}");
            if (given.LookupMin < 1 || given.LookupMin > given.LookupMax)
                yield return (Name, $"has prompt_lookup_min {given.LookupMin}; at least 1, at most prompt_lookup_max ({given.LookupMax})");
        }
        else if ((given.PromptLookupMin ?? given.PromptLookupMax) is not null)
        {
            yield return (Name, "has prompt_lookup_min or prompt_lookup_max, which only the method ngram has; leave them out");
        }
    }
}
