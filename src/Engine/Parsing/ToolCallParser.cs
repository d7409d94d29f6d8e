using System.Text;

namespace LocalLlm.Parsing;

/// <summary>
/// The state machine that all formats with marks around calls share: text, then calls. A mark begins each call and another ends it; white
/// space between calls is ignored. Text that begins like a call but is not one is returned as text. A mark inside a string of the arguments
/// does not end the call.
/// </summary>
internal sealed class ToolCallParser : IOutputParser
{
    // Characters that may follow a string in JSON; the mark that ends the call begins with the last one.
    private const string AfterString = ",:}]<";

    private readonly string _begin;
    private readonly string _end;
    private readonly string[] _wrappers;
    private readonly MarkerMatcher _markers;
    private readonly MarkerMatcher _endMatcher;
    private readonly PieceWriter _output = new();
    private readonly PieceWriter _callOutput = new(); // pieces of the current call
    private readonly ToolCallReader _reader;
    private readonly StringBuilder _call = new(); // its text until it is certain to be a call

    // White space and wrappers that are dropped if a call follows or precedes them.
    private readonly StringBuilder _between = new();

    // The text from a mark inside a string on. If the string ends properly, the mark was part of it; else it ended the call.
    private readonly StringBuilder _doubtful = new();
    private JsonPosition _doubtfulPosition;
    private bool _takesMarksInStrings;
    private bool _isInCall;
    private bool _afterCall;
    private bool _hasText;
    private readonly bool _isTextOrCalls;

    private ToolCallParser(string begin, string end, bool isTextOrCalls, Func<PieceWriter, ToolCallReader> createReader, params string[] wrappers)
    {
        (_begin, _end, _isTextOrCalls, _wrappers) = (begin, end, isTextOrCalls, wrappers);
        _markers = new([begin, .. wrappers]);
        _endMatcher = new(end);
        _reader = createReader(_callOutput);
    }

    /// <summary>Creates a parser for DeepSeek's format.</summary>
    /// <param name="isTextOrCalls">Whether a response that begins as text has no calls, whatever its text looks like.</param>
    public static ToolCallParser CreateDeepSeek(bool isTextOrCalls = false) =>
        new("<｜tool▁call▁begin｜>", "<｜tool▁call▁end｜>", isTextOrCalls, output => new DeepSeekCallReader(output), "<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>");

    /// <summary>Creates a parser for Qwen's format (vLLM's <c>hermes</c>): JSON objects with <c>name</c> and <c>arguments</c> between
    /// <c>&lt;tool_call&gt;</c> and <c>&lt;/tool_call&gt;</c>.</summary>
    /// <param name="isTextOrCalls">Whether a response that begins as text has no calls, whatever its text looks like.</param>
    public static ToolCallParser CreateHermes(bool isTextOrCalls = false) => new("<tool_call>", "</tool_call>", isTextOrCalls, output => new JsonCallReader(output));

    /// <inheritdoc/>
    public void Append(ReadOnlySpan<char> text, List<ResponsePart> pieces)
    {
        foreach (var character in text)
            Push(character);
        MoveTo(pieces);
    }

    /// <inheritdoc/>
    public void Finish(List<ResponsePart> pieces, bool isCut = false)
    {
        if (_doubtful.Length > 0)
        {
            // A truncated response may have been about to end the string; in any other, the model forgot to end it.
            if (isCut)
                AcceptDoubtful();
            else
                EndAtDoubtful();
        }

        if (_isInCall)
        {
            _endMatcher.Release(PushToCall);
            EndCall(hasMark: false, isCut);
        }

        // A truncated response may end in part of a mark that no text would contain: drop it.
        if (isCut && _markers.Held.ContainsAny('｜', '_'))
            _markers.Drop();
        _markers.Release(WriteText);
        if (!_afterCall && !(isCut && HasWrapper(_between)))
            _output.Write(ResponsePartKind.Text, _between.ToString());
        _between.Clear();
        MoveTo(pieces);
    }

    private void MoveTo(List<ResponsePart> pieces)
    {
        _output.Take(_callOutput);
        _output.MoveTo(pieces);
    }

    private void Push(char character)
    {
        if (_doubtful.Length > 0)
            PushDoubtful(character);
        else if (_isInCall)
            PushInCall(character);
        else if (_isTextOrCalls && _hasText)
            PushText(character);
        else if (_markers.Push(character, WriteText) is { } marker)
            OnMarker(marker);
    }

    private void PushText(char character)
    {
        _markers.Release(WriteText);
        WriteText(character);
    }

    private void PushInCall(char character)
    {
        if (_endMatcher.Push(character, PushToCall) is null)
            return;
        if (!_reader.IsInString || _takesMarksInStrings)
        {
            EndCall(hasMark: true, isCut: false);
            return;
        }

        _doubtful.Append(_end);
        _doubtfulPosition = default;
        _doubtfulPosition.Push('"');
    }

    private void OnMarker(string marker)
    {
        if (marker == _begin)
            _isInCall = true;
        else
            _between.Append(marker);
    }

    private void PushToCall(char character)
    {
        if (_reader.HasBegun)
        {
            _reader.Push(character);
            return;
        }

        _call.Append(character);
        _reader.Push(character);
        if (_reader.HasBegun)
            EndText();
    }

    private void PushDoubtful(char character)
    {
        _doubtful.Append(character);
        if (_doubtfulPosition.IsInString)
        {
            _doubtfulPosition.Push(character);
            return;
        }

        if (char.IsWhiteSpace(character))
            return;
        if (AfterString.Contains(character, StringComparison.Ordinal))
            AcceptDoubtful();
        else
            EndAtDoubtful();
    }

    // The mark was part of the string.
    private void AcceptDoubtful()
    {
        var text = _doubtful.ToString();
        _doubtful.Clear();
        foreach (var character in text.AsSpan(0, _end.Length))
            PushToCall(character);
        foreach (var character in text.AsSpan(_end.Length))
            PushInString(character);
    }

    // The characters after the string may begin the mark that ends the call.
    private void PushInString(char character)
    {
        if (_reader.IsInString)
            PushToCall(character);
        else
            PushInCall(character);
    }

    // The string never ended, so the mark ends the call. What follows is read again; now every mark counts as one, so that no character is
    // read more than twice.
    private void EndAtDoubtful()
    {
        var rest = _doubtful.ToString(_end.Length, _doubtful.Length - _end.Length);
        _doubtful.Clear();
        EndCall(hasMark: true, isCut: false);
        _takesMarksInStrings = true;
        foreach (var character in rest)
            Push(character);
        _takesMarksInStrings = false;
    }

    // White space before the first call belongs to the text, if there is any other text.
    private void EndText()
    {
        if (!_afterCall && _hasText)
            KeepBlanks();
        _between.Clear();
    }

    private void KeepBlanks()
    {
        var blanks = _between.ToString();
        foreach (var wrapper in _wrappers)
            blanks = blanks.Replace(wrapper, "", StringComparison.Ordinal);
        _output.Write(ResponsePartKind.Text, blanks);
    }

    private bool HasWrapper(StringBuilder between) => Array.Exists(_wrappers, wrapper => between.ToString().Contains(wrapper, StringComparison.Ordinal));

    private void WriteText(char character)
    {
        if (char.IsWhiteSpace(character) && (_afterCall || _between.Length > 0 || !_hasText))
        {
            _between.Append(character);
            return;
        }

        // After a call, the marks around all calls are ignored.
        if (_afterCall)
            KeepBlanks();
        else
            _output.Write(ResponsePartKind.Text, _between.ToString());
        _between.Clear();
        _afterCall = false;
        _hasText = true;
        _output.Write(ResponsePartKind.Text, character);
    }

    private void EndCall(bool hasMark, bool isCut)
    {
        _isInCall = false;
        var mayBeCall = _reader.MayBeCall;
        if (_reader.Finish(isCut))
        {
            EndText();
            _output.Take(_callOutput);
            _afterCall = true;
        }
        else if (!isCut || !mayBeCall)
        {
            _output.Write(ResponsePartKind.Text, $"{_between}{_begin}{_call}{(hasMark ? _end : "")}");
            _between.Clear();
            _afterCall = false;
            _hasText = true;
        }
        else
        {
            // Only the beginning of a call, without a name: there is nothing to return.
            _between.Clear();
        }

        _call.Clear();
    }
}
