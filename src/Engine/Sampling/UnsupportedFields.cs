using System.Text.Json;
using LocalLlm.Requests;

namespace LocalLlm.Sampling;

/// <summary>
/// vLLM's sampling and request fields that this engine does not support. Each is refused by name, unless its value has no effect.
/// </summary>
internal static class UnsupportedFields
{
    private static readonly Dictionary<string, Func<JsonElement, bool>> Neutral = new(StringComparer.Ordinal)
    {
        ["use_beam_search"] = IsFalse,
        ["early_stopping"] = IsFalse,
        ["length_penalty"] = value => IsNumber(value, 1),
        ["repetition_detection"] = Never,
        ["logprob_token_ids"] = Never,
        ["prompt_logprob_token_ids"] = Never,
        ["prompt_logprob_start"] = value => IsNumber(value, 0),
        ["flat_logprobs"] = IsFalse,
        ["output_kind"] = value => IsNumber(value, 0) || IsText(value, "CUMULATIVE"),
        ["stream_interval"] = value => IsNumber(value, 1),
        ["extra_args"] = IsEmpty,
        ["vllm_xargs"] = IsEmpty,
        ["kv_transfer_params"] = IsEmpty,
        ["logits_processors"] = IsEmpty,
        ["truncate_prompt_tokens"] = Never,
        ["priority"] = value => IsNumber(value, 0),
        ["skip_clone"] = IsFalse,
        ["routed_experts_prompt_start"] = value => IsNumber(value, 0),
        ["trace_decode_token_ids"] = Never,
        ["prompt_embeds"] = Never,
        ["lora_request"] = Never,
        ["multi_modal_data"] = IsEmpty,
        ["multi_modal_uuids"] = IsEmpty,
        ["mm_processor_kwargs"] = IsEmpty,
        ["suffix"] = value => IsText(value, ""),
        ["echo"] = IsFalse,
        ["tool_choice"] = value => IsText(value, "none") || IsText(value, "auto"),
        ["chat_template"] = Never,
        ["return_prompt_text"] = IsFalse,
        ["truncation_side"] = Never,
        ["media_io_kwargs"] = IsEmpty,
    };

    /// <summary>
    /// Refuses every such field in <paramref name="fields"/>, except those in <paramref name="honoured"/>. Fields whose value has no
    /// effect count as read.
    /// </summary>
    public static void Refuse(JsonFields fields, RequestErrors errors, int n, IReadOnlyCollection<string> honoured)
    {
        foreach (var name in fields.Names.Except(honoured).ToArray())
        {
            var neutral = name switch
            {
                // vLLM once drew best_of sequences and returned the best n; best_of = n leaves no choice.
                "best_of" => value => IsNumber(value, n),
                _ when name.StartsWith("guided_", StringComparison.Ordinal) => Never,
                _ => Neutral.GetValueOrDefault(name),
            };
            if (neutral is not null && fields.Take(name) is { } given && !neutral(given))
                errors.AddUnsupported(name);
        }
    }

    private static bool Never(JsonElement value) => false;

    private static bool IsFalse(JsonElement value) => value.ValueKind == JsonValueKind.False;

    private static bool IsNumber(JsonElement value, double wanted) =>
        value.ValueKind == JsonValueKind.Number && value.TryGetDouble(out var number) && number == wanted;

    private static bool IsText(JsonElement value, string wanted) => value.ValueKind == JsonValueKind.String && value.ValueEquals(wanted);

    private static bool IsEmpty(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Array => value.GetArrayLength() == 0,
        JsonValueKind.Object => !value.EnumerateObject().Any(),
        _ => false,
    };
}
