using System.Text;

namespace LocalLlm.Parsing;

/// <summary>
/// Reads one tool call character by character. It announces the call as soon as the tool's name is certain, and writes the arguments as
/// they arrive.
/// </summary>
/// <param name="output">Receives the pieces.</param>
internal abstract class ToolCallReader(PieceWriter output)
{
    private const string NoArguments = "{}";

    // White space and marks of a code fence: they belong to the arguments only if more arguments follow.
    private readonly StringBuilder _held = new();
    private JsonPosition _arguments;
    private bool _hasArguments;

    /// <summary>Whether this is certainly a call: its name is known and its arguments have begun.</summary>
    public bool HasBegun { get; private set; }

    /// <summary>Whether the next character belongs to a string of the call's JSON.</summary>
    public abstract bool IsInString { get; }

    /// <summary>Whether the characters so far may begin a call.</summary>
    public abstract bool MayBeCall { get; }

    /// <summary>Reads the next character.</summary>
    public abstract void Push(char character);

    /// <summary>Ends the call; another one may begin.</summary>
    /// <param name="isCut">Whether a limit or a stop string ended it.</param>
    /// <returns>Whether it was a call.</returns>
    public bool Finish(bool isCut)
    {
        Complete(isCut);
        var wasCall = HasBegun;
        if (wasCall)
        {
            // A truncated call shows the arguments that arrived; a call that ended without arguments needs none.
            var isIncomplete = isCut && (!_hasArguments || _arguments is not { Depth: 0, IsInString: false });
            if (!_hasArguments && !isCut)
                output.Write(ResponsePartKind.ToolArguments, NoArguments);
            output.Add(isIncomplete ? ResponsePartKind.ToolCallCut : ResponsePartKind.ToolCallEnd, "");
        }

        HasBegun = _hasArguments = false;
        _arguments = default;
        _held.Clear();
        Reset();
        return wasCall;
    }

    /// <summary>Announces the call if the characters so far are enough.</summary>
    /// <param name="isCut">Whether a limit or a stop string ended it; part of a name is then enough.</param>
    protected abstract void Complete(bool isCut);

    /// <summary>Discards the call.</summary>
    protected abstract void Reset();

    /// <summary>The position in the arguments.</summary>
    protected JsonPosition Arguments => _arguments;

    /// <summary>Announces the call.</summary>
    protected void Begin(string name)
    {
        output.Add(ResponsePartKind.ToolCall, name);
        HasBegun = true;
    }

    /// <summary>Adds a character to the arguments.</summary>
    protected void WriteArguments(char character)
    {
        var isHeld = !_arguments.IsInString && (char.IsWhiteSpace(character) || character == '`');
        _arguments.Push(character);
        if (isHeld)
        {
            if (_hasArguments)
                _held.Append(character);
            return;
        }

        output.Write(ResponsePartKind.ToolArguments, _held.ToString());
        _held.Clear();
        output.Write(ResponsePartKind.ToolArguments, character);
        _hasArguments = true;
    }

    /// <summary>Adds text to the arguments.</summary>
    protected void WriteArguments(ReadOnlySpan<char> text)
    {
        foreach (var character in text)
            WriteArguments(character);
    }
}
