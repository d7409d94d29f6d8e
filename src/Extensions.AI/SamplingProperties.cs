using System.Text.Json;
using LocalLlm.Requests;
using LocalLlm.Sampling;
using Microsoft.Extensions.AI;

namespace LocalLlm.Extensions.AI;

/// <summary>
/// Reads sampling parameters from the additional properties of options, under vLLM's names and those of <see cref="GuidedDecoding"/> and
/// <see cref="ThinkingSetting"/>. Other properties are ignored, as everywhere in Microsoft.Extensions.AI.
/// </summary>
public static class SamplingProperties
{
    private static readonly HashSet<string> SamplingFields =
        [.. typeof(SamplingParams).GetProperties().Select(property => JsonNamingPolicy.SnakeCaseLower.ConvertName(property.Name)), "max_completion_tokens", "top_logprobs", "response_format"];

    // Older and alternative names, which this class reads itself.
    private static readonly string[] OwnFields = [.. GuidedDecoding.Fields, .. ThinkingSetting.Fields];

    // Parameters whose result a response cannot hold, or that belong to the request (LocalLlmRequestOptions.Priority).
    private static readonly string[] RefusedFields = ["n", "prompt_logprobs", "detokenize", "priority"];

    /// <summary>Whether a property's name is that of an engine parameter.</summary>
    public static bool IsParameter(string name) => SamplingFields.Contains(name) || OwnFields.Contains(name);

    /// <summary>Reads the parameters among the properties, older names included; ignores other properties.</summary>
    /// <param name="properties">The properties; null: none.</param>
    /// <param name="thinking">The thinking setting among them, or null.</param>
    /// <returns>The parameters; their ranges are not validated.</returns>
    /// <exception cref="NotSupportedException">A parameter whose result a response cannot hold.</exception>
    /// <exception cref="EngineException">A value has the wrong type.</exception>
    public static SamplingParams Read(IEnumerable<KeyValuePair<string, object?>>? properties, out ThinkingSetting? thinking)
    {
        var known = new Dictionary<string, object?>();
        foreach (var (name, value) in properties ?? [])
        {
            if (Array.IndexOf(RefusedFields, name) >= 0)
                throw new NotSupportedException($"ChatOptions.{nameof(ChatOptions.AdditionalProperties)}[\"{name}\"] is not supported by this client; leave it unset.");
            // Numbers that went through JSON are doubles, even whole numbers.
            if (IsParameter(name))
                known[name] = value is double number && number == Math.Floor(number) && Math.Abs(number) < long.MaxValue ? (long)number : value;
            else if (name.StartsWith("guided_", StringComparison.Ordinal))
                throw new NotSupportedException($"ChatOptions.{nameof(ChatOptions.AdditionalProperties)}[\"{name}\"] is not supported by this client; the names that begin so are {string.Join(", ", GuidedDecoding.Fields)}.");
        }

        var json = JsonSerializer.SerializeToElement(known, AIJsonUtilities.DefaultOptions);
        var errors = new RequestErrors();
        var fields = new JsonFields(json, errors);
        var guided = GuidedDecoding.Read(fields, errors);
        thinking = ThinkingSetting.Read(fields, errors);
        _ = ThinkingSetting.IncludesThoughts(fields, errors);
        errors.ThrowIfAny();
        var parsed = SamplingParamsJson.Parse(json, OwnFields, out _);
        return parsed with { StructuredOutputs = GuidedDecoding.Combine(guided, parsed.StructuredOutputs) };
    }
}
