using System.Text.Json;

namespace LocalLlm.Requests;

/// <summary>Reads vLLM's <c>speculative_config</c>.</summary>
public static class SpeculationJson
{
    /// <summary>Reads an object such as <c>{"method":"ngram","num_speculative_tokens":4}</c>. Values are checked when a model is loaded.</summary>
    /// <param name="json">One object; empty: no speculation.</param>
    /// <exception cref="EngineException">InvalidOptions: it is no such object, or has a key that is not known here; every fault in one message.</exception>
    public static SpeculationOptions? Parse(string json)
    {
        ArgumentNullException.ThrowIfNull(json);
        try
        {
            using var document = JsonDocument.Parse(json);
            return document.RootElement.ValueKind == JsonValueKind.Object
                ? Read(document.RootElement)
                : throw Refused($"is {RequestErrors.Printable(json)}");
        }
        catch (JsonException)
        {
            throw Refused($"'{RequestErrors.Printable(json)}' is not valid JSON");
        }
    }

    private static SpeculationOptions? Read(JsonElement root)
    {
        var errors = new RequestErrors();
        var fields = new JsonFields(root, errors);
        if (!fields.Names.Any())
            return null;
        var options = new SpeculationOptions
        {
            Method = fields.Text("method"),
            NumSpeculativeTokens = fields.Integer("num_speculative_tokens"),
            PromptLookupMax = fields.Integer("prompt_lookup_max"),
            PromptLookupMin = fields.Integer("prompt_lookup_min"),
        };
        foreach (var unknown in fields.Unconsumed)
            errors.AddUnsupported(unknown);
        try
        {
            errors.ThrowIfAny();
        }
        catch (EngineException faults)
        {
            throw Refused($"cannot be used: {faults.Message}");
        }

        return options;
    }

    private static EngineException Refused(string what) => new(
        EngineErrorKind.InvalidOptions,
        $"speculative_config {what}; give an object with method, num_speculative_tokens and, for the method ngram, prompt_lookup_max and prompt_lookup_min, "
        + """such as {"method":"ngram","num_speculative_tokens":4}.""",
        "speculative_config");
}
