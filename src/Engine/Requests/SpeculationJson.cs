namespace LocalLlm.Requests;

/// <summary>Reads vLLM's <c>speculative_config</c>.</summary>
public static class SpeculationJson
{
    private static readonly JsonOption s_option = new(
        "speculative_config",
        "an object with method, num_speculative_tokens and, for the method ngram, prompt_lookup_max and prompt_lookup_min, "
        + """such as {"method":"ngram","num_speculative_tokens":4}""");

    /// <summary>
    /// Reads an object such as <c>{"method":"ngram","num_speculative_tokens":4}</c>. Its values are checked when a model is loaded.
    /// </summary>
    /// <param name="json">One object; empty: no speculation.</param>
    /// <exception cref="EngineException">InvalidOptions: not such an object, or unknown keys; one message lists every fault.</exception>
    public static SpeculationOptions? Parse(string json) =>
        s_option.Read(json, fields => !fields.Names.Any() ? null : new SpeculationOptions
        {
            Method = fields.Text("method"),
            NumSpeculativeTokens = fields.Integer("num_speculative_tokens"),
            PromptLookupMax = fields.Integer("prompt_lookup_max"),
            PromptLookupMin = fields.Integer("prompt_lookup_min"),
        });
}
