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

    // Read here: older and other names of what the engine does.
    private static readonly string[] OwnFields = [.. GuidedDecoding.Fields, .. ThinkingSetting.Fields];

    // What would have no place in a response.
    private static readonly string[] RefusedFields = ["n", "prompt_logprobs", "detokenize"];

    /// <exception cref="NotSupportedException">Something is asked for that this client does not do.</exception>
    /// <exception cref="ArgumentException">Another provider's options are given.</exception>
    /// <exception cref="EngineException">An additional property has a value of a wrong type.</exception>
    /// <param name="messages">The chat.</param>
    /// <param name="options">What is asked for.</param>
    /// <param name="client">Whom a factory of raw options is called with.</param>
    /// <param name="wishedBudget">Thinking tokens of an effort, for models that think; null: none was asked for.</param>
    public static GenerationRequest ToRequest(IEnumerable<ChatMessage> messages, ChatOptions? options, IChatClient client, out int? wishedBudget)
    {
        var sampling = FromProperties(options?.AdditionalProperties, out var thinking);
        thinking = Thinking(options?.Reasoning?.Effort) ?? thinking;
        wishedBudget = thinking?.Budget;
        var own = RawOptions.Of<LocalLlmRequestOptions>(options?.RawRepresentationFactory?.Invoke(client), nameof(ChatOptions));
        var tools = ChatToolMapping.ToTemplate(options);
        return new()
        {
            Chat = ChatTemplateRequest.FromMessages(ChatMessageMapping.ToTemplate(messages, options?.Instructions)) with
            {
                Tools = tools,
                DescribeTools = tools is not null,
                ChatTemplateKwargs = Kwargs(options, own, thinking),
            },
            ToolChoice = ChatToolMapping.ToChoice(options),
            HeldTools = ChatToolMapping.ToTemplate(options, isHeld: true),
            Sampling = ToSampling(options, own, sampling),
            CacheSalt = own.CacheSalt,
        };
    }

    /// <exception cref="InvalidOperationException">Another model is asked for.</exception>
    public static void CheckModelId(string? asked, string? served)
    {
        if (asked is not null && served is not null && asked != served)
            throw new InvalidOperationException($"Model '{asked}' is not served; this client serves '{served}'.");
    }

    private static SamplingParams ToSampling(ChatOptions? options, LocalLlmRequestOptions own, SamplingParams further)
    {
        // An effort goes before a budget of the additional properties.
        var hasEffort = Thinking(options?.Reasoning?.Effort)?.Budget is not null;
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
            DescribeStructuredOutputs = own.DescribeStructuredOutputs ?? further.DescribeStructuredOutputs,
            ThinkingTokenBudget = own.ThinkingTokenBudget ?? (hasEffort ? null : further.ThinkingTokenBudget),
        };
    }

    /// <summary>What a response format asks for; null: any text.</summary>
    public static StructuredOutputs? Structure(ChatResponseFormat? format) => format switch
    {
        ChatResponseFormatJson { Schema: { } schema } json => new()
        {
            Json = ResponseTypes.SchemaOf(json),
            DescribedJson = schema,
            SchemaName = json.SchemaName,
            SchemaDescription = json.SchemaDescription,
            TypeFirst = true,
        },
        ChatResponseFormatJson => new() { JsonObject = true },
        _ => null,
    };

    private static ThinkingSetting? Thinking(ReasoningEffort? effort) => effort switch
    {
        ReasoningEffort.None => ThinkingSetting.OfEffort("none"),
        ReasoningEffort.Low => ThinkingSetting.OfEffort("low"),
        ReasoningEffort.Medium => ThinkingSetting.OfEffort("medium"),
        ReasoningEffort.High => ThinkingSetting.OfEffort("high"),
        ReasoningEffort.ExtraHigh => ThinkingSetting.OfEffort("xhigh"),
        _ => null,
    };

    /// <summary>Whether a name among properties is one of a parameter of the engine.</summary>
    public static bool IsParameter(string name) => SamplingFields.Contains(name) || OwnFields.Contains(name);

    /// <summary>Whether thoughts are part of a response; the options have been checked.</summary>
    public static bool IncludesThoughts(ChatOptions? options)
    {
        if (options?.Reasoning?.Output == ReasoningOutput.None)
            return false;
        var json = JsonSerializer.SerializeToElement(
            options?.AdditionalProperties?.Where(property => ThinkingSetting.Fields.Contains(property.Key)).ToDictionary() ?? [], AIJsonUtilities.DefaultOptions);
        var errors = new RequestErrors();
        return ThinkingSetting.IncludesThoughts(new(json, errors), errors);
    }

    /// <summary>The parameters among properties by vLLM's names, older ones included; other properties are passed over.</summary>
    /// <exception cref="NotSupportedException">A parameter that has no place in a response.</exception>
    /// <exception cref="EngineException">A value of a wrong type.</exception>
    public static SamplingParams FromProperties(IEnumerable<KeyValuePair<string, object?>>? properties, out ThinkingSetting? thinking)
    {
        var known = new Dictionary<string, object?>();
        foreach (var (name, value) in properties ?? [])
        {
            Refuse(Array.IndexOf(RefusedFields, name) >= 0, $"{nameof(ChatOptions.AdditionalProperties)}[\"{name}\"]");
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

    private static Dictionary<string, JsonElement>? Kwargs(ChatOptions? options, LocalLlmRequestOptions own, ThinkingSetting? thinking)
    {
        var kwargs = new Dictionary<string, JsonElement>();
        thinking?.AddTo(kwargs);
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
