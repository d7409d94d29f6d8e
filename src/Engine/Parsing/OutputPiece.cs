namespace LocalLlm.Parsing;

/// <summary>What a piece of an answer is.</summary>
internal enum OutputPieceKind
{
    /// <summary>Text for the reader.</summary>
    Text,

    /// <summary>What the model thought.</summary>
    Reasoning,

    /// <summary>A call of a tool.</summary>
    ToolCall,
}

/// <summary>A piece of an answer.</summary>
/// <param name="Kind">What it is.</param>
/// <param name="Value">The text; of a call its arguments, JSON if the model kept to the format.</param>
/// <param name="ToolName">Of a call: the tool.</param>
internal readonly record struct OutputPiece(OutputPieceKind Kind, string Value, string? ToolName = null);

/// <summary>
/// Takes an answer's text bit by bit. What it gives does not depend on where the bits begin and end: joined, pieces of the same kind are the same.
/// </summary>
internal interface IOutputParser
{
    /// <summary>Takes more text and adds what is certain by now.</summary>
    void Append(ReadOnlySpan<char> text, List<OutputPiece> pieces);

    /// <summary>The answer is over: adds the rest.</summary>
    void Finish(List<OutputPiece> pieces, bool isCut = false);
}
