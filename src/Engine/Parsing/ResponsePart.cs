namespace LocalLlm.Parsing;

/// <summary>The kind of a part of a response.</summary>
public enum ResponsePartKind
{
    /// <summary>Text for the user.</summary>
    Text,

    /// <summary>The model's reasoning.</summary>
    Reasoning,

    /// <summary>The beginning of a tool call; <see cref="ResponsePart.Value"/> is the tool's name.</summary>
    ToolCall,

    /// <summary>More of the current call's arguments: JSON if the model followed the format.</summary>
    ToolArguments,

    /// <summary>The end of the current call, with all of its arguments.</summary>
    ToolCallEnd,

    /// <summary>The end of the current call because the response was cut off inside it.</summary>
    ToolCallCut,
}

/// <summary>A part of a response; see <see cref="ResponseReader"/>.</summary>
/// <param name="Kind">The kind of part.</param>
/// <param name="Value">The text.</param>
public readonly record struct ResponsePart(ResponsePartKind Kind, string Value);
