using System.Text;
using System.Text.Json;

namespace LocalLlm.Parsing;

/// <summary>Reads a call written as one JSON object with a <c>name</c> and <c>arguments</c> (or <c>parameters</c>), in either order; other
/// members are ignored.</summary>
/// <param name="output">Receives the pieces.</param>
internal sealed class JsonCallReader(PieceWriter output) : ToolCallReader(output)
{
    private const string Null = "null";

    private readonly StringBuilder _text = new(); // a member's name, or a value that must be complete
    private readonly StringBuilder _waiting = new(); // arguments that came before the name
    private JsonPosition _position;
    private State _state;
    private Member _member;
    private string? _name;
    private bool _hasArguments;

    private enum State
    {
        BeforeObject,
        BeforeMember,
        MemberName,
        BeforeColon,
        BeforeValue,
        TextValue,
        OtherValue,
        AfterObject,

        /// <summary>Not JSON, or not the JSON of a call.</summary>
        Other,
    }

    private enum Member
    {
        Ignored,
        Name,
        Arguments,
    }

    /// <summary>Whether an object without arguments does not count as a call.</summary>
    public bool NeedsArguments { get; set; }

    /// <inheritdoc/>
    public override bool IsInString => _position.IsInString;

    /// <inheritdoc/>
    public override bool MayBeCall => _state != State.Other || _name is { Length: > 0 };

    /// <inheritdoc/>
    public override void Push(char character)
    {
        _position.Push(character);
        switch (_state)
        {
            case State.BeforeObject or State.BeforeMember or State.BeforeColon or State.BeforeValue when char.IsWhiteSpace(character):
                break;
            case State.BeforeObject:
                _state = character == '{' ? State.BeforeMember : State.Other;
                break;
            case State.BeforeMember:
                PushBeforeMember(character);
                break;
            case State.MemberName or State.TextValue:
                PushText(character);
                break;
            case State.BeforeColon:
                _state = character == ':' ? State.BeforeValue : State.Other;
                break;
            case State.BeforeValue:
                BeginValue(character);
                break;
            case State.OtherValue:
                PushValue(character);
                break;
        }
    }

    /// <inheritdoc/>
    protected override void Complete(bool isCut)
    {
        if (HasBegun || (NeedsArguments && !_hasArguments) || (_state == State.Other && !isCut))
            return;
        if (isCut && _state == State.TextValue && _member == Member.Name)
            _name = Unescaped(_text.ToString().TrimEnd('\\') + '"');
        if (_name is { Length: > 0 } name)
            Begin(name);
    }

    /// <inheritdoc/>
    protected override void Reset()
    {
        _text.Clear();
        _waiting.Clear();
        _position = default;
        _state = State.BeforeObject;
        _name = null;
        _hasArguments = false;
    }

    private void PushBeforeMember(char character)
    {
        _text.Clear();
        _state = character switch
        {
            '"' => State.MemberName,
            ',' => State.BeforeMember,
            '}' => State.AfterObject,
            _ => State.Other,
        };
        if (_state == State.MemberName)
            _text.Append(character);
    }

    private void PushText(char character)
    {
        _text.Append(character);
        if (_position.IsInString)
            return;
        var text = Unescaped(_text.ToString());
        if (text is null)
        {
            _state = State.Other;
        }
        else if (_state == State.MemberName)
        {
            _member = text switch
            {
                "name" when _name is null => Member.Name,
                "arguments" or "parameters" when !_hasArguments => Member.Arguments,
                _ => Member.Ignored,
            };
            _state = State.BeforeColon;
        }
        else
        {
            _state = State.BeforeMember;
            if (_member == Member.Name)
                SetName(text);
            else
                AddArguments(text); // Some models write the arguments as a string that holds JSON.
        }
    }

    private void BeginValue(char character)
    {
        _text.Clear();
        if (_member == Member.Arguments)
            _hasArguments = true;
        if (character == '"' && _member != Member.Ignored)
        {
            _text.Append(character);
            _state = State.TextValue;
        }
        else if (_member == Member.Name)
        {
            _state = State.Other;
        }
        else
        {
            _state = State.OtherValue;
            if (_member == Member.Arguments && character is '{' or '[' && _name is { Length: > 0 } name)
                Begin(name);
            PushValue(character);
        }
    }

    private void PushValue(char character)
    {
        var isOver = _position is { Depth: 1, IsInString: false } && character is ',' or '}' or ']';
        var endsObject = _position.Depth == 0;
        var isPart = !endsObject && !(isOver && character == ',');
        if (_member == Member.Arguments && isPart)
        {
            if (HasBegun)
                WriteArguments(character);
            else
                _text.Append(character);
        }

        if (!isOver && !endsObject)
            return;
        if (_member == Member.Arguments && !HasBegun)
            AddArguments(_text.ToString().Trim() is var text && text == Null ? "" : text);
        _text.Clear();
        _state = endsObject ? State.AfterObject : State.BeforeMember;
    }

    private void SetName(string name)
    {
        _name = name;
        if (!_hasArguments || name.Length == 0)
            return;
        Begin(name);
        WriteArguments(_waiting.ToString());
        _waiting.Clear();
    }

    private void AddArguments(string text)
    {
        if (_name is not { Length: > 0 } name)
        {
            _waiting.Append(text);
            return;
        }

        Begin(name);
        WriteArguments(text);
    }

    // Decodes a JSON string with its quotes; null: it is not a JSON string.
    private static string? Unescaped(string quoted)
    {
        try
        {
            return JsonSerializer.Deserialize<string>(quoted);
        }
        catch (Exception failure) when (failure is JsonException or ArgumentException or InvalidOperationException)
        {
            return null;
        }
    }
}
