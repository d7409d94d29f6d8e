using System.Text.Json.Nodes;

namespace LocalLlm;

/// <summary>
/// Speculative decoding (vLLM's <c>speculative_config</c>): the engine drafts tokens, and one step of the model verifies all of them. The
/// output is the same as without it: identical in float32 on CPUs, elsewhere up to rounding, because one row and several rows run through
/// different kernels.
/// </summary>
public sealed record SpeculationOptions
{
    /// <summary>
    /// Looks up the output's last tokens in the prompt and the output; the tokens that followed them earlier are the drafts.
    /// </summary>
    internal const string Ngram = "ngram";

    /// <summary>The model drafts itself, with its layers for multi-token prediction.</summary>
    internal const string Mtp = "mtp";

    /// <summary>Max number of drafts of a sequence in a step, and max number of tokens to look up.</summary>
    internal const int Max = 32;

    // vLLM's.
    private const int UsualLookup = 5;

    /// <summary>
    /// The drafter: <c>ngram</c> (prompt look-up, for every model) or <c>mtp</c> (the model's layers for multi-token prediction).
    /// </summary>
    public string? Method { get; init; }

    /// <summary>
    /// Max number of drafts of a sequence in a step, 1 to 32. <c>ngram</c> drafts fewer after wrong drafts.
    /// </summary>
    public int? NumSpeculativeTokens { get; init; }

    /// <summary>
    /// For <c>ngram</c>: max number of last tokens to look up, up to 32; null: <see cref="PromptLookupMin"/>, or 5.
    /// </summary>
    public int? PromptLookupMax { get; init; }

    /// <summary>
    /// For <c>ngram</c>: min number of last tokens that must have occurred before; null: <see cref="PromptLookupMax"/>, or 5.
    /// </summary>
    public int? PromptLookupMin { get; init; }

    /// <summary>Max number of tokens to look up; valid once the options are checked.</summary>
    internal int LookupMax => PromptLookupMax ?? PromptLookupMin ?? UsualLookup;

    /// <summary>Min number of tokens to look up; valid once the options are checked.</summary>
    internal int LookupMin => PromptLookupMin ?? PromptLookupMax ?? UsualLookup;

    /// <summary>The JSON that <c>--speculative-config</c> takes.</summary>
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
