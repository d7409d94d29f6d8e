using System.Text;

namespace LocalLlm.Parsing;

/// <summary>
/// The state machine that calls between marks have in common: text, then calls, each between a mark that begins it and one that ends it, with white space
/// between calls that means nothing. What begins like a call and is none comes out as the text that it was.
/// </summary>
/// <param name="begin">Begins a call.</param>
/// <param name="end">Ends it.</param>
/// <param name="wrappers">Marks around all calls, dropped where there are calls.</param>
internal abstract class ToolCallParser(string begin, string end, params string[] wrappers) : IOutputParser
{
    private readonly MarkerMatcher _markers = new([begin, .. wrappers]);
    private readonly MarkerMatcher _end = new(end);
    private readonly StringBuilder _call = new();

    // White space and wrappers that are dropped if a call stands on the other side of them.
    private readonly StringBuilder _between = new();
    private readonly PieceWriter _text = new(OutputPieceKind.Text);
    private bool _isInCall;
    private bool _afterCall;
    private bool _lenient;
    private bool _isCut;
    private JsonPosition _json;

    /// <inheritdoc/>
    public void Append(ReadOnlySpan<char> text, List<OutputPiece> pieces)
    {
        foreach (var character in text)
            Push(character, pieces);
        // Text that is certain; inside of a call all of it waits.
        _text.Flush(pieces);
    }

    /// <inheritdoc/>
    public void Finish(List<OutputPiece> pieces, bool isCut = false)
    {
        _isCut = isCut;
        if (_isInCall)
            FinishCall(pieces);
        _markers.Release(WriteText);
        if (!_afterCall)
            _text.Write(_between.ToString());
        _between.Clear();
        _text.Flush(pieces);
    }

    /// <summary>Reads what stands between the marks.</summary>
    /// <returns>The call, or null where it is none.</returns>
    protected abstract OutputPiece? Read(string call);

    /// <summary>Whether nothing of a call is missing but the mark that ends it.</summary>
    protected abstract bool IsComplete(string call);

    private void Push(char character, List<OutputPiece> pieces)
    {
        if (!_isInCall)
        {
            if (_markers.Push(character, WriteText) is { } marker)
                OnMarker(marker);
            return;
        }

        // A mark inside of a string of the arguments is no end, unless the string itself has none.
        if (_end.Push(character, WriteCall) is null)
            return;
        if (_json.IsInString && !_lenient)
        {
            foreach (var held in end)
                WriteCall(held);
            return;
        }

        EndCall(pieces, ended: true);
    }

    private void OnMarker(string marker)
    {
        if (marker != begin)
        {
            _between.Append(marker);
            return;
        }

        _isInCall = true;
        _json = default;
    }

    // White space before the first call is part of the text.
    private void KeepBlanksOf(StringBuilder between)
    {
        var blanks = between.ToString();
        foreach (var wrapper in wrappers)
            blanks = blanks.Replace(wrapper, "", StringComparison.Ordinal);
        _text.Write(blanks);
    }

    private void WriteText(char character)
    {
        if (char.IsWhiteSpace(character) && (_afterCall || _between.Length > 0))
        {
            _between.Append(character);
            return;
        }

        // After a call the marks around the calls mean nothing.
        if (_afterCall)
            KeepBlanksOf(_between);
        else
            _text.Write(_between.ToString());
        _between.Clear();
        _afterCall = false;
        _text.Write(character);
    }

    private void WriteCall(char character)
    {
        _call.Append(character);
        _json.Push(character);
    }

    private void EndCall(List<OutputPiece> pieces, bool ended)
    {
        var call = _call.ToString();
        _call.Clear();
        _isInCall = false;
        // An answer that was cut off may have been about to name another tool, or further arguments.
        if ((ended || !_isCut || IsComplete(call)) && Read(call) is { } piece)
        {
            // Marks around the calls mean nothing now.
            if (!_afterCall)
                KeepBlanksOf(_between);
            _between.Clear();
            _text.Flush(pieces);
            pieces.Add(piece);
            _afterCall = true;
            return;
        }

        _text.Write(_between.ToString());
        _between.Clear();
        _text.Write(begin);
        _text.Write(call);
        if (ended)
            _text.Write(end);
        _afterCall = false;
    }

    // The answer ends in a call: its end was left out, or stands in what looked like a string.
    private void FinishCall(List<OutputPiece> pieces)
    {
        _end.Release(WriteCall);
        var text = _call.ToString();
        var at = text.IndexOf(end, StringComparison.Ordinal);
        if (at < 0)
        {
            EndCall(pieces, ended: false);
            return;
        }

        _lenient = true;
        _call.Clear();
        foreach (var character in text)
            Push(character, pieces);
        if (!_isInCall)
            return;
        _end.Release(WriteCall);
        EndCall(pieces, ended: false);
    }
}
