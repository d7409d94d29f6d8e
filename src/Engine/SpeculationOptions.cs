using System.Text.Json.Nodes;

namespace LocalLlm;

/// <summary>
/// Speculative decoding (vLLM's <c>speculative_config</c>): tokens are drafted, and one step of the model verifies all of them. The output
/// is the one without it, identical in float32 on CPUs, elsewhere up to rounding: there one row goes through another kernel than several.
/// </summary>
public sealed record SpeculationOptions
{
    /// <summary>Drafts are what followed the output's last tokens where they occurred before, in the prompt or the output.</summary>
    internal const string Ngram = "ngram";

    /// <summary>Drafts are the model's own, by its layers for multi-token prediction.</summary>
    internal const string Mtp = "mtp";

    /// <summary>Max number of drafts of a sequence and a step, and of tokens that are looked up.</summary>
    internal const int Max = 32;

    // vLLM's.
    private const int UsualLookup = 5;

    /// <summary>Who drafts: <c>ngram</c> (prompt look-up, for every model), or <c>mtp</c> (the model's own layers for it).</summary>
    public string? Method { get; init; }

    /// <summary>
    /// Max number of tokens that are drafted for a sequence and a step, 1 to 32. With <c>ngram</c> there are fewer where earlier drafts
    /// were wrong.
    /// </summary>
    public int? NumSpeculativeTokens { get; init; }

    /// <summary>
    /// Method <c>ngram</c>: max number of last tokens that are looked up, up to 32; null: as <see cref="PromptLookupMin"/>, or 5.
    /// </summary>
    public int? PromptLookupMax { get; init; }

    /// <summary>
    /// Method <c>ngram</c>: min number of last tokens that must have occurred before; null: as <see cref="PromptLookupMax"/>, or 5.
    /// </summary>
    public int? PromptLookupMin { get; init; }

    /// <summary>Max number of tokens that are looked up, once checked.</summary>
    internal int LookupMax => PromptLookupMax ?? PromptLookupMin ?? UsualLookup;

    /// <summary>Min number of tokens that are looked up, once checked.</summary>
    internal int LookupMin => PromptLookupMin ?? PromptLookupMax ?? UsualLookup;

    /// <summary>As <c>--speculative-config</c> takes it.</summary>
    internal string ToJson()
    {
        var json = new JsonObject { ["method"] = Method, ["num_speculative_tokens"] = NumSpeculativeTokens };
        if (PromptLookupMax is not null)
            json["prompt_lookup_max"] = PromptLookupMax;
        if (PromptLookupMin is not null)
            json["prompt_lookup_min"] = PromptLookupMin;
        return json.ToJsonString();
    }
}
