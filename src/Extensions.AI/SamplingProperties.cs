using System.Text.Json;
using LocalLlm.Requests;
using LocalLlm.Sampling;
using Microsoft.Extensions.AI;

namespace LocalLlm.Extensions.AI;

/// <summary>
/// Sampling parameters among the additional properties of options, under vLLM's names and those that <see cref="GuidedDecoding"/> and
/// <see cref="ThinkingSetting"/> know. Other properties mean nothing here, as everywhere in Microsoft.Extensions.AI.
/// </summary>
public static class SamplingProperties
{
    private static readonly HashSet<string> SamplingFields =
        [.. typeof(SamplingParams).GetProperties().Select(property => JsonNamingPolicy.SnakeCaseLower.ConvertName(property.Name)), "max_completion_tokens", "top_logprobs", "response_format"];

    // Read here: older and other names of what the engine does.
    private static readonly string[] OwnFields = [.. GuidedDecoding.Fields, .. ThinkingSetting.Fields];

    // What would have no place in a response, or belongs to a request (LocalLlmRequestOptions.Priority).
    private static readonly string[] RefusedFields = ["n", "prompt_logprobs", "detokenize", "priority"];

    /// <summary>Whether a name among properties is one of a parameter of the engine.</summary>
    public static bool IsParameter(string name) => SamplingFields.Contains(name) || OwnFields.Contains(name);

    /// <summary>The parameters among properties, older names included; other properties are passed over.</summary>
    /// <param name="properties">The properties; null: none.</param>
    /// <param name="thinking">What they say of thinking, or null.</param>
    /// <returns>The parameters; their ranges are unchecked.</returns>
    /// <exception cref="NotSupportedException">A parameter that has no place in a response.</exception>
    /// <exception cref="EngineException">A value of a wrong type.</exception>
    public static SamplingParams Read(IEnumerable<KeyValuePair<string, object?>>? properties, out ThinkingSetting? thinking)
    {
        var known = new Dictionary<string, object?>();
        foreach (var (name, value) in properties ?? [])
        {
            if (Array.IndexOf(RefusedFields, name) >= 0)
                throw new NotSupportedException($"ChatOptions.{nameof(ChatOptions.AdditionalProperties)}[\"{name}\"] is not supported by this client; leave it unset.");
            // Numbers that went through JSON are double, whole ones too.
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
