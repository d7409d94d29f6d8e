using System.Text;
using System.Text.Json;
using Microsoft.Extensions.AI;
using TemplateMessage = LocalLlm.Templating.ChatMessage;

namespace LocalLlm.Extensions.AI;

/// <summary>
/// Converts one message to template messages, in the order of its contents. Each tool result becomes a message of its own. Calls are the
/// assistant's, whatever the role of the message that holds them.
/// </summary>
/// <param name="target">The list that receives the template messages.</param>
/// <param name="role">The message's role.</param>
/// <param name="name">The participant, or null.</param>
internal sealed class TemplateMessages(List<TemplateMessage> target, string role, string? name)
{
    private const string Assistant = "assistant";
    private readonly StringBuilder _text = new();
    private readonly StringBuilder _thought = new();
    private readonly List<object> _calls = [];
    private readonly int _before = target.Count;
    private bool _hasText;

    public void AddText(string text)
    {
        // Text of another role does not belong in the message of the assistant's calls before it.
        if (_calls.Count > 0 && role != Assistant)
            Flush();
        _text.Append(text);
        _hasText = true;
    }

    /// <summary>Adds a thought of the assistant; thoughts in messages of other roles are dropped.</summary>
    public void AddThought(string? text)
    {
        if (role == Assistant)
            _thought.Append(text);
    }

    public void AddCall(object call)
    {
        if (role != Assistant && _hasText)
            Flush();
        _calls.Add(call);
    }

    public void AddResult(string? callId, string text)
    {
        Flush();
        target.Add(new("tool", text) { ToolCallId = callId });
    }

    /// <summary>Adds what is left. A message that produced nothing becomes an empty message.</summary>
    public void Finish()
    {
        if (!Flush() && target.Count == _before)
            target.Add(new(role, "") { Name = name });
    }

    private bool Flush()
    {
        if (!_hasText && _calls.Count == 0 && _thought.Length == 0)
            return false;
        target.Add(new(_calls.Count > 0 ? Assistant : role, _hasText || _calls.Count == 0 ? _text.ToString() : null)
        {
            Name = name,
            ToolCalls = _calls.Count == 0 ? null : JsonSerializer.SerializeToElement(_calls, AIJsonUtilities.DefaultOptions),
            ReasoningContent = _thought.Length == 0 ? null : _thought.ToString(),
        });
        _text.Clear();
        _thought.Clear();
        _calls.Clear();
        _hasText = false;
        return true;
    }
}
