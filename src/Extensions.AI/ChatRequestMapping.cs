using System.Globalization;
using System.Text.Json;
using LocalLlm.Requests;
using LocalLlm.Templating;
using Microsoft.Extensions.AI;
using ChatMessage = Microsoft.Extensions.AI.ChatMessage;

namespace LocalLlm.Extensions.AI;

/// <summary>
/// Converts messages and options to an engine request. <see cref="LocalLlmRequestOptions"/> override <see cref="ChatOptions"/>, which
/// override additional properties. The caller's objects are never changed.
/// </summary>
internal static class ChatRequestMapping
{
    private const string KwargsProperty = "chat_template_kwargs";

    /// <exception cref="NotSupportedException">The request asks for something that this client does not support.</exception>
    /// <exception cref="ArgumentException">The raw options belong to another provider.</exception>
    /// <exception cref="EngineException">An additional property has a value of a wrong type.</exception>
    /// <param name="messages">The chat.</param>
    /// <param name="options">The caller's options.</param>
    /// <param name="client">The client that is passed to a factory of raw options.</param>
    /// <param name="wishedBudget">The thinking budget, in tokens, of the requested effort, for models that think; null: no effort
    /// requested.</param>
    public static GenerationRequest ToRequest(IEnumerable<ChatMessage> messages, ChatOptions? options, IChatClient client, out int? wishedBudget)
    {
        var sampling = SamplingProperties.Read(options?.AdditionalProperties, out var thinking);
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
            Priority = own.Priority,
        };
    }

    /// <exception cref="InvalidOperationException">The request asks for another model.</exception>
    public static void CheckModelId(string? asked, string? served)
    {
        if (asked is not null && served is not null && asked != served)
            throw new InvalidOperationException($"Model '{asked}' is not served; this client serves '{served}'.");
    }

    private static SamplingParams ToSampling(ChatOptions? options, LocalLlmRequestOptions own, SamplingParams further)
    {
        // An effort overrides a budget of the additional properties.
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
            SkipReadingPrefixCache = own.SkipReadingPrefixCache ?? further.SkipReadingPrefixCache,
            Logprobs = own.Logprobs ?? further.Logprobs,
            StructuredOutputs = own.StructuredOutputs ?? options?.ResponseFormat?.ToStructuredOutputs() ?? further.StructuredOutputs,
            DescribeStructuredOutputs = own.DescribeStructuredOutputs ?? further.DescribeStructuredOutputs,
            ThinkingTokenBudget = own.ThinkingTokenBudget ?? (hasEffort ? null : further.ThinkingTokenBudget),
        };
    }

    private static ThinkingSetting? Thinking(ReasoningEffort? effort) => effort switch
    {
        ReasoningEffort.None => ThinkingSetting.OfEffort("none"),
        ReasoningEffort.Low => ThinkingSetting.OfEffort("low"),
        ReasoningEffort.Medium => ThinkingSetting.OfEffort("medium"),
        ReasoningEffort.High => ThinkingSetting.OfEffort("high"),
        ReasoningEffort.ExtraHigh => ThinkingSetting.OfEffort("xhigh"),
        _ => null,
    };

    /// <summary>Whether a response includes reasoning. The options must have been validated.</summary>
    public static bool IncludesThoughts(ChatOptions? options)
    {
        if (options?.Reasoning?.Output == ReasoningOutput.None)
            return false;
        var json = JsonSerializer.SerializeToElement(
            options?.AdditionalProperties?.Where(property => ThinkingSetting.Fields.Contains(property.Key)).ToDictionary() ?? [], AIJsonUtilities.DefaultOptions);
        var errors = new RequestErrors();
        return ThinkingSetting.IncludesThoughts(new(json, errors), errors);
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
}
