namespace LocalLlm.Parsing;

/// <summary>What a piece of a response is.</summary>
internal enum OutputPieceKind
{
    /// <summary>Text for the reader.</summary>
    Text,

    /// <summary>What the model thought.</summary>
    Reasoning,

    /// <summary>A tool call begins: <see cref="OutputPiece.Value"/> is the tool's name.</summary>
    ToolCall,

    /// <summary>More of the arguments of the call that has begun: JSON if the model kept to the format.</summary>
    ToolArguments,

    /// <summary>The call that has begun is over: all of its arguments have come.</summary>
    ToolCallEnd,

    /// <summary>The call that has begun is over because the response was cut off in it.</summary>
    ToolCallCut,
}

/// <summary>A piece of a response.</summary>
/// <param name="Kind">What it is.</param>
/// <param name="Value">The text.</param>
internal readonly record struct OutputPiece(OutputPieceKind Kind, string Value);

/// <summary>
/// Reads a response bit by bit. The pieces do not depend on where the bits begin and end: joined, pieces of the same kind are the same.
/// </summary>
internal interface IOutputParser
{
    /// <summary>Takes more text and adds what is certain by now.</summary>
    void Append(ReadOnlySpan<char> text, List<OutputPiece> pieces);

    /// <summary>The response is over: adds the rest.</summary>
    /// <param name="pieces">Where the rest goes.</param>
    /// <param name="isCut">Whether a limit or a stop string ended it, so that a call that has begun may be incomplete.</param>
    void Finish(List<OutputPiece> pieces, bool isCut = false);
}
