using System.Text.Json;
using LocalLlm.Templating;
using Microsoft.Extensions.AI;
using ChatMessage = Microsoft.Extensions.AI.ChatMessage;
using TemplateMessage = LocalLlm.Templating.ChatMessage;

namespace LocalLlm.Extensions.AI;

/// <summary>From messages and options to an engine request. The caller's objects are only read.</summary>
internal static class ChatRequestMapping
{
    private static readonly HashSet<string> SamplingFields =
        [.. typeof(SamplingParams).GetProperties().Select(property => JsonNamingPolicy.SnakeCaseLower.ConvertName(property.Name))];

    /// <exception cref="NotSupportedException">Something is asked for that this client does not do.</exception>
    public static GenerationRequest ToRequest(IEnumerable<ChatMessage> messages, ChatOptions? options) => new()
    {
        Chat = ChatTemplateRequest.FromMessages(ToTemplateMessages(messages, options?.Instructions)),
        Sampling = ToSampling(options),
    };

    /// <exception cref="InvalidOperationException">Another model is asked for.</exception>
    public static void CheckModelId(string? asked, string? served)
    {
        if (asked is not null && served is not null && asked != served)
            throw new InvalidOperationException($"Model '{asked}' is not served; this client serves '{served}'.");
    }

    // Templates have one place for a system text, so instructions go in front of the caller's own.
    private static List<TemplateMessage> ToTemplateMessages(IEnumerable<ChatMessage> messages, string? instructions)
    {
        var result = messages.Select(message => message is null
            ? throw new ArgumentException("The messages hold a null.", nameof(messages))
            : new TemplateMessage(message.Role.Value, Text(message))).ToList();
        if (string.IsNullOrEmpty(instructions))
            return result;
        if (result is [{ Role: "system" } system, ..])
            result[0] = system with { Content = $"{instructions}\n{system.Content}" };
        else
            result.Insert(0, new("system", instructions));
        return result;
    }

    private static string Text(ChatMessage message)
    {
        foreach (var content in message.Contents)
        {
            if (content is not (TextContent or TextReasoningContent or UsageContent))
                throw new NotSupportedException($"A message holds {content.GetType().Name}; this client takes text only.");
        }

        return message.Text;
    }

    private static SamplingParams ToSampling(ChatOptions? options)
    {
        if (options is null)
            return new();
        Refuse(options.Tools is { Count: > 0 }, nameof(ChatOptions.Tools));
        Refuse(options.ToolMode is RequiredChatToolMode, nameof(ChatOptions.ToolMode));
        Refuse(options.ResponseFormat is ChatResponseFormatJson, nameof(ChatOptions.ResponseFormat));
        Refuse(options.Reasoning is not null, nameof(ChatOptions.Reasoning));
        Refuse(options.RawRepresentationFactory is not null, nameof(ChatOptions.RawRepresentationFactory));
        // Properties of other providers mean nothing here, as everywhere in Microsoft.Extensions.AI; sampling fields would.
        foreach (var (name, _) in options.AdditionalProperties ?? [])
            Refuse(SamplingFields.Contains(name), $"{nameof(ChatOptions.AdditionalProperties)}[\"{name}\"]");
        return new()
        {
            Temperature = options.Temperature,
            TopP = options.TopP,
            TopK = options.TopK,
            PresencePenalty = options.PresencePenalty ?? 0,
            FrequencyPenalty = options.FrequencyPenalty ?? 0,
            MaxTokens = options.MaxOutputTokens,
            Seed = options.Seed,
            Stop = [.. options.StopSequences ?? []],
        };
    }

    private static void Refuse(bool asked, string option)
    {
        if (asked)
            throw new NotSupportedException($"ChatOptions.{option} is not supported by this client; leave it unset.");
    }
}
