using System.Text;

namespace LocalLlm.Parsing;

/// <summary>
/// Separates thoughts from text, for models that think between <c>&lt;think&gt;</c> and <c>&lt;/think&gt;</c> (DeepSeek R1 and V3.1, Qwen
/// 3). The end of the prompt, which may open or close a thought, decides whether the response begins inside one. As in the models' own
/// examples, line feeds next to a tag belong to the tag.
/// </summary>
internal sealed class ReasoningParser : IOutputParser
{
    /// <summary>The tag that begins a thought.</summary>
    public const string Open = "<think>";

    /// <summary>The tag that ends a thought.</summary>
    public const string Close = "</think>";

    private readonly MarkerMatcher _open = new(Open);
    private readonly MarkerMatcher _close = new(Close);
    private readonly PieceWriter _output = new();
    private readonly StringBuilder _blanks = new(); // white space that may belong to a tag
    private readonly bool _isVerbatim;
    private State _state;

    /// <param name="promptTail">The last characters of the prompt, special tokens included.</param>
    /// <param name="isVerbatim">Whether to keep tags (as part of the thought) and the line feeds next to them.</param>
    public ReasoningParser(ReadOnlySpan<char> promptTail, bool isVerbatim = false)
    {
        _isVerbatim = isVerbatim;
        promptTail = promptTail.TrimEnd();
        _state = promptTail.EndsWith(Open) ? State.ThoughtBegins : promptTail.EndsWith(Close) ? State.TextBegins : State.Undecided;
    }

    private enum State
    {
        /// <summary>Only white space so far; a tag may follow.</summary>
        Undecided,

        /// <summary>In a thought, before its first character.</summary>
        ThoughtBegins,
        Thought,

        /// <summary>After a thought, before the text's first character.</summary>
        TextBegins,
        Text,
    }

    /// <summary>Whether the next text belongs to a thought.</summary>
    public bool IsThinking => _state is State.ThoughtBegins or State.Thought;

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
        switch (_state)
        {
            case State.Undecided:
                WriteText(_blanks.ToString());
                _blanks.Clear();
                _open.Release(WriteText);
                break;
            case State.ThoughtBegins or State.Thought:
                _close.Release(WriteThought);
                break;
        }

        // Line feeds at the very end of a truncated thought are dropped, as they would be before the tag.
        ReleaseBlanks();
        _output.MoveTo(pieces);
    }

    private void Push(char character)
    {
        switch (_state)
        {
            case State.Undecided:
                Decide(character);
                break;
            case State.ThoughtBegins or State.Thought:
                if (_close.Push(character, WriteThought) is not null)
                {
                    EndTag(Close);
                    _state = State.TextBegins;
                }

                break;
            case State.TextBegins when character is '\n' && !_isVerbatim:
                break;
            default:
                _state = State.Text;
                WriteText(character);
                break;
        }
    }

    private void Decide(char character)
    {
        if (_open.Held.IsEmpty && char.IsWhiteSpace(character))
        {
            _blanks.Append(character);
            return;
        }

        if (_open.Push(character, WriteUndecided) is null)
        {
            if (_state == State.Text)
                _open.Release(WriteText);
            return;
        }

        EndTag(Open);
        _state = State.ThoughtBegins;
    }

    private void EndTag(string tag)
    {
        ReleaseBlanks();
        if (_isVerbatim)
            _output.Write(ResponsePartKind.Reasoning, tag);
    }

    // Drops the white space next to a tag, or adds it to the thought if tags are kept.
    private void ReleaseBlanks()
    {
        if (_isVerbatim)
            _output.Write(ResponsePartKind.Reasoning, _blanks.ToString());
        _blanks.Clear();
    }

    // There is no tag at the beginning, so everything so far is text.
    private void WriteUndecided(char character)
    {
        if (_state == State.Undecided)
        {
            WriteText(_blanks.ToString());
            _blanks.Clear();
            _state = State.Text;
        }

        WriteText(character);
    }

    private void WriteText(char character) => _output.Write(ResponsePartKind.Text, character);

    private void WriteText(string text) => _output.Write(ResponsePartKind.Text, text);

    private void WriteThought(char character)
    {
        if (character == '\n')
        {
            if (_state == State.Thought || _isVerbatim)
                _blanks.Append(character);
            return;
        }

        _state = State.Thought;
        _output.Write(ResponsePartKind.Reasoning, _blanks.ToString());
        _blanks.Clear();
        _output.Write(ResponsePartKind.Reasoning, character);
    }
}
