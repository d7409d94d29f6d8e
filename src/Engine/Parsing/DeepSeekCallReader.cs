using System.Text;

namespace LocalLlm.Parsing;

/// <summary>
/// Reads DeepSeek's calls. V3 and R1 (vLLM's <c>deepseek_v3</c>) write a type, the name and fenced JSON; V3.1 (<c>deepseek_v31</c>) writes
/// the name and JSON. A name never begins with a brace, so one reader handles both.
/// </summary>
internal sealed class DeepSeekCallReader(PieceWriter output) : ToolCallReader(output)
{
    private const string Separator = "<｜tool▁sep｜>";
    private const string Fence = "```json";
    private const string BareFence = "```";
    private const string FunctionType = "function";

    private readonly StringBuilder _head = new(); // before the separator
    private readonly StringBuilder _name = new(); // after the separator
    private readonly StringBuilder _lead = new(); // between the name and the arguments
    private State _state;

    private enum State
    {
        Head,
        Name,
        Lead,
        Arguments,

        /// <summary>Not a call.</summary>
        Other,
    }

    /// <inheritdoc/>
    public override bool IsInString => _state == State.Arguments && Arguments.IsInString;

    /// <inheritdoc/>
    public override bool MayBeCall => _state != State.Other;

    /// <inheritdoc/>
    public override void Push(char character)
    {
        switch (_state)
        {
            case State.Head:
                _head.Append(character);
                if (character == Separator[^1] && EndsWithSeparator())
                {
                    _head.Length -= Separator.Length;
                    _state = State.Name;
                }

                break;
            case State.Name:
                PushName(character);
                break;
            case State.Lead:
                PushLead(character);
                break;
            case State.Arguments:
                WriteArguments(character);
                break;
        }
    }

    /// <inheritdoc/>
    protected override void Complete(bool isCut)
    {
        if (_state != State.Name)
            return;
        var (head, name) = (_head.ToString().Trim(), _name.ToString().Trim());
        // If no name follows the separator, the text before it was V3.1's name, unless it is V3's type.
        var found = name.Length > 0 ? name : head == FunctionType ? "" : head;
        if (found.Length > 0)
            Begin(found);
    }

    /// <inheritdoc/>
    protected override void Reset()
    {
        _state = State.Head;
        _head.Clear();
        _name.Clear();
        _lead.Clear();
    }

    private void PushName(char character)
    {
        if (_name.Length == 0 && char.IsWhiteSpace(character))
            return;
        if (character is not ('\n' or '`' or '{'))
        {
            _name.Append(character);
            return;
        }

        var name = (_name.Length == 0 ? _head : _name).ToString().Trim();
        if (name.Length == 0 || (_name.Length == 0 && character != '{'))
        {
            _state = State.Other;
            return;
        }

        Begin(name);
        _state = State.Lead;
        PushLead(character);
    }

    // Skips white space and the beginning of a code fence; the first other character begins the arguments.
    private void PushLead(char character)
    {
        if (_lead.Length == 0 && char.IsWhiteSpace(character))
            return;
        _lead.Append(character);
        var lead = _lead.ToString();
        if (Fence.StartsWith(lead, StringComparison.Ordinal))
            return;
        var mark = lead.StartsWith(Fence, StringComparison.Ordinal) ? Fence : lead.StartsWith(BareFence, StringComparison.Ordinal) ? BareFence : "";
        if (mark.Length > 0 && char.IsWhiteSpace(character))
        {
            _lead.Length--;
            return;
        }

        _state = State.Arguments;
        WriteArguments(lead.AsSpan(mark.Length));
    }

    private bool EndsWithSeparator()
    {
        var start = _head.Length - Separator.Length;
        if (start < 0)
            return false;
        for (var i = 0; i < Separator.Length; i++)
        {
            if (_head[start + i] != Separator[i])
                return false;
        }

        return true;
    }
}
