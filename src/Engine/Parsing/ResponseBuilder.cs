using System.Text;

namespace LocalLlm.Parsing;

/// <summary>Joins the parts of a response. Not safe for concurrent use.</summary>
public sealed class ResponseBuilder
{
    private readonly StringBuilder _text = new();
    private readonly StringBuilder _reasoning = new();
    private readonly StringBuilder _arguments = new();
    private readonly List<ResponseToolCall> _calls = [];
    private string? _name; // of the current call

    /// <summary>Adds the next parts; the caller may leave out parts it does not want.</summary>
    public void Add(IEnumerable<ResponsePart> parts)
    {
        ArgumentNullException.ThrowIfNull(parts);
        foreach (var part in parts)
            Add(part);
    }

    /// <summary>Adds the next part.</summary>
    public void Add(ResponsePart part)
    {
        switch (part.Kind)
        {
            case ResponsePartKind.Text:
                _text.Append(part.Value);
                break;
            case ResponsePartKind.Reasoning:
                _reasoning.Append(part.Value);
                break;
            case ResponsePartKind.ToolCall:
                EndCall(isCut: true);
                _name = part.Value;
                break;
            case ResponsePartKind.ToolArguments:
                _arguments.Append(part.Value);
                break;
            default:
                EndCall(isCut: part.Kind == ResponsePartKind.ToolCallCut);
                break;
        }
    }

    /// <summary>The response so far. A call is included once it has ended.</summary>
    public Response ToResponse() => new() { Text = _text.ToString(), Reasoning = _reasoning.ToString(), ToolCalls = [.. _calls] };

    private void EndCall(bool isCut)
    {
        if (_name is null)
            return;
        _calls.Add(new(_name, _arguments.ToString(), isCut));
        _arguments.Clear();
        _name = null;
    }
}
