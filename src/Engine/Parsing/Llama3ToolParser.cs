using System.Text;

namespace LocalLlm.Parsing;

/// <summary>
/// Reads Llama 3's calls (vLLM's <c>llama3_json</c>). The response consists only of JSON objects with <c>name</c> and <c>parameters</c> (or
/// <c>arguments</c>), joined by semicolons, optionally after <c>&lt;|python_tag|&gt;</c>. From an object that is not a call on, everything
/// is text.
/// </summary>
internal sealed class Llama3ToolParser : IOutputParser
{
    private const string Tag = "<|python_tag|>";

    private readonly MarkerMatcher _tag = new(Tag);
    private readonly StringBuilder _skipped = new(); // between calls, and before the first one: text if no call follows
    private readonly StringBuilder _object = new(); // its text until it is certain to be a call
    private readonly PieceWriter _output = new();
    private readonly JsonCallReader _reader;
    private State _state;
    private JsonPosition _json;
    private bool _hasCalls;

    public Llama3ToolParser() => _reader = new(_output) { NeedsArguments = true };

    private enum State
    {
        /// <summary>A call may begin.</summary>
        Between,
        Object,
        Text,
    }

    /// <inheritdoc/>
    public void Append(ReadOnlySpan<char> text, List<ResponsePart> pieces)
    {
        foreach (var character in text)
            Push(character);
        _output.MoveTo(pieces);
    }

    /// <inheritdoc/>
    public void Finish(List<ResponsePart> pieces, bool isCut = false)
    {
        if (_state == State.Object)
            EndObject(isCut);
        if (isCut && _tag.Held.Contains('|'))
            _tag.Drop();
        _tag.Release(BeginText);
        if (_state == State.Between && !_hasCalls)
            _output.Write(ResponsePartKind.Text, isCut ? _skipped.Replace(Tag, "").ToString() : _skipped.ToString());
        _skipped.Clear();
        _output.MoveTo(pieces);
    }

    private void Push(char character)
    {
        switch (_state)
        {
            case State.Text:
                _output.Write(ResponsePartKind.Text, character);
                break;
            case State.Object:
                PushObject(character);
                break;
            default:
                PushBetween(character);
                break;
        }
    }

    private void PushObject(char character)
    {
        if (!_reader.HasBegun)
            _object.Append(character);
        _json.Push(character);
        _reader.Push(character);
        if (_json is { Depth: 0, IsInString: false })
            EndObject(isCut: false);
    }

    private void PushBetween(char character)
    {
        if (!_tag.Held.IsEmpty || character == Tag[0])
        {
            if (_tag.Push(character, BeginText) is { } tag)
            {
                // An object after the tag is a call, with or without arguments.
                _skipped.Append(tag);
                _reader.NeedsArguments = false;
            }

            if (_state == State.Text)
                _tag.Release(BeginText);
        }
        else if (character == '{')
        {
            _json = default;
            _state = State.Object;
            PushObject(character);
        }
        else if (character is ' ' or '\t' or '\r' or '\n' || (_hasCalls && character is ';' or ','))
        {
            _skipped.Append(character);
        }
        else
        {
            BeginText(character);
        }
    }

    private void BeginText(char character)
    {
        if (_state != State.Text)
        {
            _output.Write(ResponsePartKind.Text, _skipped.ToString());
            _skipped.Clear();
            _state = State.Text;
        }

        _output.Write(ResponsePartKind.Text, character);
    }

    private void EndObject(bool isCut)
    {
        var isNameless = isCut && !_reader.NeedsArguments && _reader.MayBeCall;
        if (_reader.Finish(isCut))
        {
            _skipped.Clear();
            _hasCalls = true;
            _state = State.Between;
        }
        else if (!isNameless)
        {
            // JSON that the caller asked for is a response like any other.
            foreach (var character in _object.ToString())
                BeginText(character);
        }
        else
        {
            _skipped.Clear();
        }

        _object.Clear();
    }
}
