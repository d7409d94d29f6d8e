using System.Collections;
using System.Globalization;
using System.Text.Json;
using LocalLlm.Extensions.AI;
using LocalLlm.Requests;
using Microsoft.Extensions.AI;

namespace Microsoft.SemanticKernel;

/// <summary>
/// Converts execution settings to fields under vLLM's names: this library's settings, plain ones with extension data, and other connectors'
/// settings. Fields that the engine cannot honour are refused by name, never ignored.
/// </summary>
internal static class SettingsFields
{
    /// <summary>The field with the format of the response.</summary>
    public const string ResponseFormat = "response_format";

    /// <summary>A system message for a history that has none.</summary>
    public const string SystemPrompt = "chat_system_prompt";

    /// <summary>A developer message for a history that has none.</summary>
    public const string DeveloperPrompt = "chat_developer_prompt";

    // Carries the exact fields through Semantic Kernel's adapter, which interprets some fields in its own way.
    private const string Exact = "localllm";

    private const string Effort = "reasoning_effort";
    private const string Stop = "stop";

    // Fields that settings of every type have; the base class maps them.
    private static readonly string[] BaseFields = ["service_id", "model_id", "function_choice_behavior"];

    // Fields for chats only; text generation has neither messages nor a template.
    private static readonly string[] ChatFields = [SystemPrompt, DeveloperPrompt, "chat_template_kwargs", "strict"];

    // Fields for a service with many users and models; an in-process model ignores them.
    private static readonly string[] Meaningless = ["user", "store", "metadata", "service_tier", "safety_identifier", "prompt_cache_key"];

    private static readonly Dictionary<string, string> Aliases = new(StringComparer.Ordinal)
    {
        ["stop_sequences"] = Stop,
        ["num_predict"] = "max_tokens",
        ["max_output_tokens"] = "max_tokens",
        ["token_selection_biases"] = "logit_bias",
        ["results_per_prompt"] = "n",
        ["candidate_count"] = "n",
    };

    private static readonly HashSet<string> Numbers =
    [
        "temperature", "top_p", "top_k", "min_p", "presence_penalty", "frequency_penalty", "repetition_penalty", "max_tokens", "max_completion_tokens", "min_tokens", "seed", "thinking_token_budget", "top_logprobs", "n",
    ];

    /// <summary>Returns the fields that are set, by canonical names. Refuses nothing.</summary>
    public static Dictionary<string, object> Given(PromptExecutionSettings settings)
    {
        var fields = new Dictionary<string, object>(StringComparer.Ordinal);
        foreach (var property in JsonSerializerOptions.Default.GetTypeInfo(settings.GetType()).Properties)
        {
            var name = Canonical(property.Name);
            if (property.IsExtensionData || BaseFields.Contains(name) || property.Get?.Invoke(settings) is not { } value)
                continue;
            if (SamplingProperties.IsParameter(name) || !AsksNothing(value))
                fields[name] = Plain(name, value);
        }

        foreach (var (key, value) in settings.ExtensionData ?? new Dictionary<string, object>())
        {
            if (value is not (null or JsonElement { ValueKind: JsonValueKind.Null }))
                fields.TryAdd(Canonical(key), Plain(Canonical(key), value));
        }

        return fields;
    }

    /// <summary>
    /// Returns settings that pass through Semantic Kernel's adapter without loss; <see cref="Restored"/> reads them for the chat client.
    /// </summary>
    /// <exception cref="NotSupportedException">A field is unknown; the message names it.</exception>
    /// <exception cref="LocalLlm.EngineException">A value has the wrong type.</exception>
    public static PromptExecutionSettings? ForChat(PromptExecutionSettings? settings)
    {
        if (settings is null)
            return null;
        var fields = Known(settings, isChat: true);
        _ = SamplingProperties.Read(Sampling(fields), out _);
        // The fields are there twice: under their own names for filters, and unchanged for the chat client.
        return new()
        {
            ModelId = settings.ModelId,
            ServiceId = settings.ServiceId,
            FunctionChoiceBehavior = settings.FunctionChoiceBehavior,
            ExtensionData = new Dictionary<string, object>(fields) { [Exact] = fields },
        };
    }

    /// <summary>
    /// Returns options with the original fields of <see cref="ForChat"/> in place of what the adapter made of them; the same options if
    /// there are no such fields.
    /// </summary>
    public static ChatOptions? Restored(ChatOptions? options)
    {
        if (options?.AdditionalProperties?.GetValueOrDefault(Exact) is not Dictionary<string, object> fields)
            return options;
        var exact = options.Clone();
        (exact.Temperature, exact.TopP, exact.TopK, exact.Seed, exact.MaxOutputTokens) = (null, null, null, null, null);
        (exact.FrequencyPenalty, exact.PresencePenalty, exact.StopSequences, exact.Reasoning, exact.Instructions) = (null, null, null, null, null);
        exact.ResponseFormat = fields.GetValueOrDefault(ResponseFormat) as ChatResponseFormat;
        exact.AdditionalProperties = [];
        foreach (var (name, value) in fields.Where(field => field.Key != ResponseFormat))
            exact.AdditionalProperties[name] = value;
        return exact;
    }

    /// <summary>Returns the engine's parameters for text generation without a chat.</summary>
    /// <param name="settings">The settings.</param>
    /// <param name="wishedBudget">The thinking budget, in tokens, of the requested effort, for models that think; null: no effort
    /// requested.</param>
    /// <exception cref="NotSupportedException">A field is unknown; the message names it.</exception>
    /// <exception cref="LocalLlm.EngineException">A value has the wrong type.</exception>
    public static LocalLlm.SamplingParams ForText(PromptExecutionSettings? settings, out int? wishedBudget)
    {
        wishedBudget = null;
        if (settings is null)
            return new();
        var fields = Known(settings, isChat: false);
        var sampling = SamplingProperties.Read(Sampling(fields), out var thinking);
        wishedBudget = thinking?.Budget;
        return fields.TryGetValue(ResponseFormat, out var format)
            ? sampling with { StructuredOutputs = GuidedDecoding.Combine(sampling.StructuredOutputs, ((ChatResponseFormat)format).ToStructuredOutputs()) }
            : sampling;
    }

    private static Dictionary<string, object> Known(PromptExecutionSettings settings, bool isChat)
    {
        var fields = Given(settings);
        foreach (var name in Meaningless)
            fields.Remove(name);
        if (fields.TryGetValue("n", out var choices) && choices is 1L)
            fields.Remove("n");
        if (fields.Keys.FirstOrDefault(name => !IsKnown(name)) is { } unknown)
            throw new NotSupportedException($"The execution settings have '{unknown}', which this service does not honour; remove it. Known are {Names(isChat)}.");
        if (!isChat && ChatFields.FirstOrDefault(fields.ContainsKey) is { } chatOnly)
        {
            throw new NotSupportedException(
                $"The execution settings have '{chatOnly}', which means nothing to a text service: it continues its prompt without a chat template; "
                + "remove it, or use the chat service.");
        }

        if (fields.TryGetValue(ResponseFormat, out var format))
            fields[ResponseFormat] = ResponseFormats.Of(format);
        return fields;
    }

    private static bool IsKnown(string name) => name != "n" && (name == ResponseFormat || SamplingProperties.IsParameter(name) || ChatFields.Contains(name));

    private static string Names(bool isChat) => string.Join(
        ", ",
        typeof(LocalLlm.SamplingParams).GetProperties().Select(property => JsonNamingPolicy.SnakeCaseLower.ConvertName(property.Name)).Except(["n", "prompt_logprobs", "detokenize"])
            .Concat(["stop_sequences", ResponseFormat]).Concat(ThinkingSetting.Fields).Concat(isChat ? ChatFields : []).Order(StringComparer.Ordinal));

    private static IEnumerable<KeyValuePair<string, object?>> Sampling(Dictionary<string, object> fields) =>
        fields.Where(field => field.Key != ResponseFormat).Select(field => new KeyValuePair<string, object?>(field.Key, field.Value));

    // Other connectors write false, 0 and empty lists for unset fields.
    private static bool AsksNothing(object value) => value is false or 0 or 0L or 0.0 or 0f or "" || (value is ICollection { Count: 0 });

    // Converts any spelling to snake_case: Temperature and MaxTokens become temperature and max_tokens.
    private static string Canonical(string name)
    {
        var canonical = name.Any(char.IsAsciiLetterUpper) ? JsonNamingPolicy.SnakeCaseLower.ConvertName(name) : name;
        return Aliases.GetValueOrDefault(canonical, canonical);
    }

    // Numbers may be strings, as in prompt files.
    private static object Plain(string name, object value)
    {
        var plain = value is JsonElement element
            ? element.ValueKind switch
            {
                JsonValueKind.String => element.GetString()!,
                JsonValueKind.Number when element.TryGetInt64(out var whole) => whole,
                JsonValueKind.Number => element.GetDouble(),
                JsonValueKind.True => true,
                JsonValueKind.False => false,
                _ => value,
            }
            : value is int or short or byte ? Convert.ToInt64(value, CultureInfo.InvariantCulture) : value;
        if (name == Effort)
            return EffortName(plain);
        if (plain is not string text || !Numbers.Contains(name))
            return plain;
        if (long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var integer))
            return integer;
        return double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var number) ? number : text;
    }

    // The effort is a string, or a client's own type whose ToString returns its name.
    private static string EffortName(object effort) => effort.ToString()!.ToLowerInvariant() switch
    {
        "extrahigh" => "xhigh",
        var name => name,
    };
}
