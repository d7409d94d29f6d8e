using System.Globalization;
using System.Text.Json;
using LocalLlm.Sampling;
using LocalLlm.Templating;
using Microsoft.Extensions.AI;
using ChatMessage = Microsoft.Extensions.AI.ChatMessage;

namespace LocalLlm.Extensions.AI;

/// <summary>
/// From messages and options to an engine request. <see cref="LocalLlmRequestOptions"/> go before <see cref="ChatOptions"/>, these before additional properties. The caller's objects are only read.
/// </summary>
internal static class ChatRequestMapping
{
    private const string KwargsProperty = "chat_template_kwargs";

    // Sampling parameters by vLLM's names; other properties mean nothing here, as everywhere in Microsoft.Extensions.AI.
    private static readonly HashSet<string> SamplingFields =
        [.. typeof(SamplingParams).GetProperties().Select(property => JsonNamingPolicy.SnakeCaseLower.ConvertName(property.Name)), "max_completion_tokens", "top_logprobs", "response_format"];

    // What would have no place in a response.
    private static readonly string[] RefusedFields = ["n", "prompt_logprobs", "detokenize"];

    // Thinking tokens for an effort, where a template knows no levels of its own.
    private const int LowBudget = 1024;
    private const int MediumBudget = 4096;
    private const int HighBudget = 16384;

    /// <exception cref="NotSupportedException">Something is asked for that this client does not do.</exception>
    /// <exception cref="ArgumentException">Another provider's options are given.</exception>
    /// <exception cref="EngineException">An additional property has a value of a wrong type.</exception>
    public static GenerationRequest ToRequest(IEnumerable<ChatMessage> messages, ChatOptions? options, IChatClient client)
    {
        var own = RawOptions.Of<LocalLlmRequestOptions>(options?.RawRepresentationFactory?.Invoke(client), nameof(ChatOptions));
        var tools = ChatToolMapping.ToTemplate(options);
        return new()
        {
            Chat = ChatTemplateRequest.FromMessages(ChatMessageMapping.ToTemplate(messages, options?.Instructions)) with
            {
                Tools = tools,
                DescribeTools = tools is not null,
                ChatTemplateKwargs = Kwargs(options, own),
            },
            ToolChoice = ChatToolMapping.ToChoice(options),
            HeldTools = ChatToolMapping.ToTemplate(options, isHeld: true),
            Sampling = ToSampling(options, own),
            CacheSalt = own.CacheSalt,
        };
    }

    /// <exception cref="InvalidOperationException">Another model is asked for.</exception>
    public static void CheckModelId(string? asked, string? served)
    {
        if (asked is not null && served is not null && asked != served)
            throw new InvalidOperationException($"Model '{asked}' is not served; this client serves '{served}'.");
    }

    private static SamplingParams ToSampling(ChatOptions? options, LocalLlmRequestOptions own)
    {
        var further = FromProperties(options?.AdditionalProperties);
        return further with
        {
            Temperature = options?.Temperature ?? further.Temperature,
            TopP = options?.TopP ?? further.TopP,
            TopK = options?.TopK ?? further.TopK,
            MinP = own.MinP ?? further.MinP,
            PresencePenalty = options?.PresencePenalty ?? further.PresencePenalty,
            FrequencyPenalty = options?.FrequencyPenalty ?? further.FrequencyPenalty,
            RepetitionPenalty = own.RepetitionPenalty ?? further.RepetitionPenalty,
            MaxTokens = options?.MaxOutputTokens ?? further.MaxTokens,
            MinTokens = own.MinTokens ?? further.MinTokens,
            Seed = options?.Seed ?? further.Seed,
            Stop = options?.StopSequences is { } stop ? [.. stop] : further.Stop,
            StopTokenIds = own.StopTokenIds ?? further.StopTokenIds,
            IgnoreEos = own.IgnoreEos ?? further.IgnoreEos,
            IncludeStopStrInOutput = own.IncludeStopStrInOutput ?? further.IncludeStopStrInOutput,
            SkipSpecialTokens = own.SkipSpecialTokens ?? further.SkipSpecialTokens,
            LogitBias = own.LogitBias ?? further.LogitBias,
            AllowedTokenIds = own.AllowedTokenIds ?? further.AllowedTokenIds,
            BadWords = own.BadWords ?? further.BadWords,
            Logprobs = own.Logprobs ?? further.Logprobs,
            StructuredOutputs = own.StructuredOutputs ?? Structure(options?.ResponseFormat) ?? further.StructuredOutputs,
            ThinkingTokenBudget = own.ThinkingTokenBudget ?? Budget(options?.Reasoning?.Effort) ?? further.ThinkingTokenBudget,
        };
    }

    private static StructuredOutputs? Structure(ChatResponseFormat? format) => format switch
    {
        ChatResponseFormatJson { Schema: not null } json => new() { Json = ResponseTypes.SchemaOf(json), TypeFirst = true },
        ChatResponseFormatJson => new() { JsonObject = true },
        _ => null,
    };

    /// <summary>The thinking budget of an effort; null: none.</summary>
    public static int? Budget(ReasoningEffort? effort) => effort switch
    {
        ReasoningEffort.None => 0,
        ReasoningEffort.Low => LowBudget,
        ReasoningEffort.Medium => MediumBudget,
        ReasoningEffort.High => HighBudget,
        _ => null,
    };

    private static SamplingParams FromProperties(AdditionalPropertiesDictionary? properties)
    {
        var known = new Dictionary<string, object?>();
        foreach (var (name, value) in properties ?? [])
        {
            Refuse(Array.IndexOf(RefusedFields, name) >= 0, $"{nameof(ChatOptions.AdditionalProperties)}[\"{name}\"]");
            // Numbers that went through JSON are double, whole ones too.
            if (SamplingFields.Contains(name))
                known[name] = value is double number && number == Math.Floor(number) && Math.Abs(number) < long.MaxValue ? (long)number : value;
        }

        return SamplingParamsJson.Parse(JsonSerializer.SerializeToElement(known, AIJsonUtilities.DefaultOptions), out _);
    }

    private static Dictionary<string, JsonElement>? Kwargs(ChatOptions? options, LocalLlmRequestOptions own)
    {
        var kwargs = new Dictionary<string, JsonElement>();
        if (options?.Reasoning?.Effort is { } effort)
        {
            // Qwen 3's switch and DeepSeek V3.1's; templates ignore what they do not know.
            kwargs["enable_thinking"] = kwargs["thinking"] = JsonSerializer.SerializeToElement(effort != ReasoningEffort.None);
        }

        if (options?.AdditionalProperties?.TryGetValue(KwargsProperty, out var given) == true && given is not null)
        {
            var element = JsonSerializer.SerializeToElement(given, AIJsonUtilities.DefaultOptions);
            if (element.ValueKind != JsonValueKind.Object)
                throw EngineException.InvalidRequest(KwargsProperty, string.Create(CultureInfo.InvariantCulture, $"{KwargsProperty} must be an object, found {element.ValueKind}"));
            foreach (var property in element.EnumerateObject())
                kwargs[property.Name] = property.Value;
        }

        foreach (var (name, value) in own.ChatTemplateKwargs ?? new Dictionary<string, object?>())
            kwargs[name] = JsonSerializer.SerializeToElement(value, AIJsonUtilities.DefaultOptions);
        return kwargs.Count == 0 ? null : kwargs;
    }

    private static void Refuse(bool asked, string option)
    {
        if (asked)
            throw new NotSupportedException($"ChatOptions.{option} is not supported by this client; leave it unset.");
    }
}
