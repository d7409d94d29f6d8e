using Microsoft.Extensions.AI;
using ChatMessage = Microsoft.Extensions.AI.ChatMessage;
using TemplateMessage = LocalLlm.Templating.ChatMessage;

namespace LocalLlm.Extensions.AI;

/// <summary>
/// Converts messages to a chat template's. The caller's objects are never changed. <c>docs/guides/extensions-ai.md</c> has a table with the
/// rule for every kind of content.
/// </summary>
internal static class ChatMessageMapping
{
    private static readonly ChatRole[] Roles = [ChatRole.System, ChatRole.User, ChatRole.Assistant, ChatRole.Tool, new("developer")];

    /// <exception cref="ArgumentException">A message or a content is null.</exception>
    /// <exception cref="NotSupportedException">A message holds content that text cannot represent.</exception>
    public static List<TemplateMessage> ToTemplate(IEnumerable<ChatMessage> messages, string? instructions)
    {
        ChatMessage[] all = [.. messages];
        if (Array.IndexOf(all, null) >= 0)
            throw new ArgumentException("The messages hold a null.", nameof(messages));
        var known = new KnownCalls(all);
        var result = new List<TemplateMessage>();
        foreach (var message in all)
            AddTo(result, message, known);
        if (string.IsNullOrEmpty(instructions))
            return result;

        // Instructions go in front of the text of a leading system message. The engine passes later system messages to the model in a form
        // that its template accepts.
        if (result is [{ Role: "system" } system, ..])
            result[0] = system with { Content = string.IsNullOrEmpty(system.Content) ? instructions : $"{instructions}\n{system.Content}" };
        else
            result.Insert(0, new("system", instructions));
        return result;
    }

    private static void AddTo(List<TemplateMessage> result, ChatMessage message, KnownCalls known)
    {
        // ChatRole ignores case; templates expect lower case.
        var role = Array.Find(Roles, role => role == message.Role) is { Value: not null } usual ? usual.Value : message.Role.Value;
        var builder = new TemplateMessages(result, role, message.AuthorName);
        foreach (var content in message.Contents)
        {
            switch (content ?? throw new ArgumentException("The contents of a message hold a null.", nameof(message)))
            {
                case UsageContent:
                    break;
                case TextReasoningContent thought:
                    builder.AddThought(thought.Text);
                    break;
                case ToolApprovalRequestContent { ToolCall: { } asked }:
                    if (known.IsNew(asked))
                        builder.AddCall(ToolContents.CallOf(asked));
                    break;
                case ToolApprovalResponseContent { ToolCall: { } answered } response:
                    if (!response.Approved && !known.HasResult(answered.CallId))
                        builder.AddResult(answered.CallId, ToolContents.Rejection(response.Reason));
                    break;
                case ToolCallContent call:
                    builder.AddCall(ToolContents.CallOf(call));
                    break;
                case ToolResultContent toolResult:
                    builder.AddResult(toolResult.CallId, ToolContents.TextOf(toolResult));
                    break;
                default:
                    builder.AddText(ToolContents.TextOf(content));
                    break;
            }
        }

        builder.Finish();
    }

    // A chat may hold an approval and also the call or result that came of it: each counts once.
    private sealed class KnownCalls(ChatMessage[] messages)
    {
        private readonly HashSet<string> _calls = [.. messages.SelectMany(message => message.Contents).OfType<ToolCallContent>().Select(call => call.CallId)];
        private readonly HashSet<string> _results = [.. messages.SelectMany(message => message.Contents).OfType<ToolResultContent>().Select(result => result.CallId)];

        public bool IsNew(ToolCallContent call) => _calls.Add(call.CallId);

        public bool HasResult(string callId) => _results.Contains(callId);
    }
}
