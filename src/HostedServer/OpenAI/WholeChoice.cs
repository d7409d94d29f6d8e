using System.Text;

namespace LocalLlm.Server.OpenAI;

/// <summary>Collects the parts of one choice into the whole message.</summary>
internal sealed class WholeChoice
{
    private readonly StringBuilder _content = new();
    private readonly StringBuilder _reasoning = new();
    private readonly List<(ToolCall Call, StringBuilder Arguments)> _calls = [];

    /// <summary>Moves text, thought and calls out of <paramref name="part"/>.</summary>
    public void Take(AnswerPart part)
    {
        _content.Append(part.Content);
        _reasoning.Append(part.Reasoning);
        foreach (var call in part.Calls)
        {
            if (call.Id is not null)
                _calls.Add((call, new()));
            _calls[^1].Arguments.Append(call.Function.Arguments);
        }

        part.Content = part.Reasoning = "";
        part.Calls.Clear();
    }

    /// <summary>The message.</summary>
    public ChatMessageOut ToMessage(string role) => new(role)
    {
        // As OpenAI: a message of calls alone has no text.
        Content = _content.Length == 0 && _calls.Count > 0 ? null : _content.ToString(),
        Reasoning = _reasoning.Length == 0 ? null : _reasoning.ToString(),
        ToolCalls = _calls.Count == 0 ? null : [.. _calls.Select(call => call.Call with { Index = null, Function = call.Call.Function with { Arguments = call.Arguments.ToString() } })],
    };
}
