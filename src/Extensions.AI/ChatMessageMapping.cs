using System.Text.Json;
using Microsoft.Extensions.AI;
using ChatMessage = Microsoft.Extensions.AI.ChatMessage;
using TemplateMessage = LocalLlm.Templating.ChatMessage;

namespace LocalLlm.Extensions.AI;

/// <summary>From messages to those of a chat template. The caller's objects are only read.</summary>
internal static class ChatMessageMapping
{
    /// <exception cref="ArgumentException">A message is null.</exception>
    /// <exception cref="NotSupportedException">A message holds what no text can say.</exception>
    public static List<TemplateMessage> ToTemplate(IEnumerable<ChatMessage> messages, string? instructions)
    {
        var result = new List<TemplateMessage>();
        foreach (var message in messages)
            AddTo(result, message ?? throw new ArgumentException("The messages hold a null.", nameof(messages)));
        if (string.IsNullOrEmpty(instructions))
            return result;

        // Templates have one place for a system text, so instructions go in front of the caller's own.
        if (result is [{ Role: "system" } system, ..])
            result[0] = system with { Content = $"{instructions}\n{system.Content}" };
        else
            result.Insert(0, new("system", instructions));
        return result;
    }

    private static void AddTo(List<TemplateMessage> result, ChatMessage message)
    {
        var calls = new List<object>();
        var (results, hasText) = (0, false);
        foreach (var content in message.Contents)
        {
            switch (content)
            {
                case TextContent:
                    hasText = true;
                    break;
                case FunctionCallContent call:
                    calls.Add(new { id = call.CallId, type = "function", function = new { name = call.Name, arguments = call.Arguments ?? new Dictionary<string, object?>() } });
                    break;
                case FunctionResultContent functionResult:
                    result.Add(new("tool", Text(functionResult.Result)) { ToolCallId = functionResult.CallId });
                    results++;
                    break;
                case TextReasoningContent or UsageContent:
                    break;
                default:
                    throw new NotSupportedException($"A message holds {content.GetType().Name}; this client takes text, thoughts, and calls of tools with their results.");
            }
        }

        // A message of nothing but results has become messages of their own.
        if (results > 0 && !hasText && calls.Count == 0)
            return;
        result.Add(new(message.Role.Value, hasText || calls.Count == 0 ? message.Text : null)
        {
            Name = message.AuthorName,
            ToolCalls = calls.Count == 0 ? null : JsonSerializer.SerializeToElement(calls, AIJsonUtilities.DefaultOptions),
            ReasoningContent = Reasoning(message),
        });
    }

    private static string? Reasoning(ChatMessage message)
    {
        var thoughts = string.Concat(message.Contents.OfType<TextReasoningContent>().Select(thought => thought.Text));
        return thoughts.Length == 0 ? null : thoughts;
    }

    private static string Text(object? result) => result switch
    {
        null => "",
        string text => text,
        JsonElement { ValueKind: JsonValueKind.String } text => text.GetString()!,
        TextContent content => content.Text,
        _ => JsonSerializer.Serialize(result, AIJsonUtilities.DefaultOptions),
    };
}
