using System.Text.Json;
using LocalLlm.Requests;

namespace LocalLlm.Sampling;

/// <summary>
/// Reads <see cref="SamplingParams"/> from a JSON object with the field names of vLLM and the OpenAI API
/// (<c>top_p</c>, <c>max_tokens</c> or <c>max_completion_tokens</c>, <c>logprobs</c> as a number, or as a boolean with
/// <c>top_logprobs</c>).
/// </summary>
public static class SamplingParamsJson
{
    /// <summary>Reads the sampling fields. Types are checked here, ranges when the engine takes the request.</summary>
    /// <param name="element">The object; it may have other fields too. A null value counts as absent.</param>
    /// <param name="unknownFields">Names in the object that are not sampling fields: the caller refuses, logs or reads them.</param>
    /// <returns>The parameters, still untrusted: their ranges are unchecked.</returns>
    /// <exception cref="EngineException">
    /// <see cref="EngineErrorKind.InvalidRequest"/>, listing every fault: a wrong type, a number that is not finite, not an integer or
    /// out of its type's range, a field given twice, a vLLM field that this engine does not support.
    /// </exception>
    public static SamplingParams Parse(JsonElement element, out IReadOnlyList<string> unknownFields) => Parse(element, [], out unknownFields);

    /// <inheritdoc cref="Parse(JsonElement, out IReadOnlyList{string})"/>
    /// <param name="element">The object.</param>
    /// <param name="ownFields">Fields that the caller reads itself: they are neither refused nor reported as unknown.</param>
    /// <param name="unknownFields">Names in the object that are neither sampling fields nor the caller's own.</param>
    public static SamplingParams Parse(JsonElement element, IReadOnlyCollection<string> ownFields, out IReadOnlyList<string> unknownFields)
    {
        if (element.ValueKind != JsonValueKind.Object)
        {
            throw EngineException.InvalidRequest(
                null, "sampling parameters: given JSON that is not an object, allowed an object such as {\"temperature\": 0.6}");
        }

        var errors = new RequestErrors();
        var fields = new JsonFields(element, errors);
        var defaults = new SamplingParams();
        var parsed = new SamplingParams
        {
            N = fields.Integer("n") ?? defaults.N,
            PresencePenalty = fields.Number("presence_penalty") ?? defaults.PresencePenalty,
            FrequencyPenalty = fields.Number("frequency_penalty") ?? defaults.FrequencyPenalty,
            RepetitionPenalty = fields.Number("repetition_penalty"),
            Temperature = fields.Number("temperature"),
            TopP = fields.Number("top_p"),
            TopK = fields.Integer("top_k"),
            MinP = fields.Number("min_p"),
            Seed = fields.Integer("seed", long.MinValue, long.MaxValue),
            Stop = fields.Strings("stop", allowBare: true) ?? defaults.Stop,
            StopTokenIds = fields.TokenIds("stop_token_ids") ?? defaults.StopTokenIds,
            IncludeStopStrInOutput = fields.Boolean("include_stop_str_in_output") ?? defaults.IncludeStopStrInOutput,
            IgnoreEos = fields.Boolean("ignore_eos") ?? defaults.IgnoreEos,
            MaxTokens = MaxTokens(fields),
            MinTokens = fields.Integer("min_tokens") ?? defaults.MinTokens,
            Logprobs = Logprobs(fields, errors),
            PromptLogprobs = fields.Integer("prompt_logprobs"),
            SkipReadingPrefixCache = fields.Boolean("skip_reading_prefix_cache") ?? defaults.SkipReadingPrefixCache,
            Detokenize = fields.Boolean("detokenize") ?? defaults.Detokenize,
            SkipSpecialTokens = fields.Boolean("skip_special_tokens") ?? defaults.SkipSpecialTokens,
            SpacesBetweenSpecialTokens = fields.Boolean("spaces_between_special_tokens") ?? defaults.SpacesBetweenSpecialTokens,
            LogitBias = fields.Biases("logit_bias"),
            AllowedTokenIds = fields.TokenIds("allowed_token_ids"),
            ThinkingTokenBudget = fields.Integer("thinking_token_budget"),
            StructuredOutputs = StructuredOutputsJson.Read(fields.Take("structured_outputs"), fields.Take("response_format"), errors),
            DescribeStructuredOutputs = fields.Boolean("describe_structured_outputs"),
            BadWords = fields.Strings("bad_words", allowBare: false) ?? defaults.BadWords,
        };
        UnsupportedFields.Refuse(fields, errors, parsed.N, ownFields);
        errors.ThrowIfAny();
        unknownFields = [.. fields.Unconsumed.Except(ownFields)];
        return parsed;
    }

    private static int? MaxTokens(JsonFields fields)
    {
        // Read both, so that a malformed max_tokens is reported even if max_completion_tokens overrides it.
        var deprecated = fields.Integer("max_tokens");
        return fields.Integer("max_completion_tokens") ?? deprecated;
    }

    /// <summary>In vLLM a count. In OpenAI's chat API true or false, with the count in top_logprobs (0 if absent).</summary>
    private static int? Logprobs(JsonFields fields, RequestErrors errors)
    {
        var top = fields.Integer("top_logprobs");
        if (fields.Take("logprobs") is not { ValueKind: not JsonValueKind.False } logprobs)
        {
            if (top is not null and not 0)
                errors.Add("top_logprobs", top.Value, "only together with logprobs: true");
            return null;
        }

        if (logprobs.ValueKind == JsonValueKind.True)
            return top ?? 0;
        if (top is not null)
            errors.Add("top_logprobs", top.Value, "only together with logprobs: true, not with a number");
        return fields.Integer("logprobs");
    }
}
