using System.Text;
using System.Text.Json;
using Microsoft.Extensions.AI;
using TemplateMessage = LocalLlm.Templating.ChatMessage;

namespace LocalLlm.Extensions.AI;

/// <summary>
/// Makes the template's messages of one message, in the order of its contents: a result of a tool is a message of its own, and calls are
/// the assistant's, whosever message holds them.
/// </summary>
/// <param name="target">Where they go.</param>
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
        // Another role's text does not belong to the assistant's calls before it.
        if (_calls.Count > 0 && role != Assistant)
            Flush();
        _text.Append(text);
        _hasText = true;
    }

    /// <summary>A thought is the assistant's; in a message of another role it is left out.</summary>
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

    /// <summary>Writes what is left; a message that has become nothing at all is an empty one.</summary>
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
