using System.Text;

namespace LocalLlm.Parsing;

/// <summary>
/// Llama 3's calls (vLLM's <c>llama3_json</c>): an answer that is nothing but JSON objects with <c>name</c> and <c>parameters</c> (or <c>arguments</c>), several of them joined by
/// semicolons, perhaps after <c>&lt;|python_tag|&gt;</c>. An object that is no call makes the whole rest text.
/// </summary>
internal sealed class Llama3ToolParser : IOutputParser
{
    private const string Tag = "<|python_tag|>";

    private readonly MarkerMatcher _tag = new(Tag);
    private readonly StringBuilder _skipped = new(); // between calls, and before the first: text if no call follows
    private readonly StringBuilder _object = new();
    private readonly PieceWriter _text = new(OutputPieceKind.Text);
    private State _state;
    private JsonPosition _json;
    private bool _hasCalls;

    private enum State
    {
        /// <summary>A call may begin.</summary>
        Between,
        Object,
        Text,
    }

    /// <inheritdoc/>
    public void Append(ReadOnlySpan<char> text, List<OutputPiece> pieces)
    {
        foreach (var character in text)
            Push(character, pieces);
        _text.Flush(pieces);
    }

    /// <inheritdoc/>
    public void Finish(List<OutputPiece> pieces, bool isCut = false)
    {
        if (_state == State.Object)
            EndObject(pieces, isCut);
        _tag.Release(BeginText);
        if (_state == State.Between && !_hasCalls)
            _text.Write(_skipped.ToString());
        _skipped.Clear();
        _text.Flush(pieces);
    }

    private void Push(char character, List<OutputPiece> pieces)
    {
        switch (_state)
        {
            case State.Text:
                _text.Write(character);
                break;
            case State.Object:
                _object.Append(character);
                _json.Push(character);
                if (_json is { Depth: 0, IsInString: false })
                    EndObject(pieces, isCut: false);
                break;
            default:
                PushBetween(character);
                break;
        }
    }

    private void PushBetween(char character)
    {
        if (!_tag.Held.IsEmpty || character == Tag[0])
        {
            if (_tag.Push(character, BeginText) is { } tag)
                _skipped.Append(tag);
            if (_state == State.Text)
                _tag.Release(BeginText);
        }
        else if (character == '{')
        {
            _json = default;
            _json.Push(character);
            _object.Append(character);
            _state = State.Object;
        }
        else if (char.IsWhiteSpace(character) || (_hasCalls && character is ';' or ','))
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
            _text.Write(_skipped.ToString());
            _skipped.Clear();
            _state = State.Text;
        }

        _text.Write(character);
    }

    private void EndObject(List<OutputPiece> pieces, bool isCut)
    {
        var text = _object.ToString();
        _object.Clear();
        if (!isCut && ToolCallJson.Read(text) is { } call && HasArguments(text))
        {
            _skipped.Clear();
            _text.Flush(pieces);
            pieces.Add(call);
            _hasCalls = true;
            _state = State.Between;
            return;
        }

        // JSON that was asked for is an answer like any other.
        foreach (var character in text)
            BeginText(character);
    }

    private static bool HasArguments(string text) =>
        text.Contains("\"parameters\"", StringComparison.Ordinal) || text.Contains("\"arguments\"", StringComparison.Ordinal);
}
