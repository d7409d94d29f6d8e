namespace LocalLlm.Parsing;

/// <summary>What a part of a response is.</summary>
public enum ResponsePartKind
{
    /// <summary>Text for the reader.</summary>
    Text,

    /// <summary>What the model thought.</summary>
    Reasoning,

    /// <summary>A tool call begins: <see cref="ResponsePart.Value"/> is the tool's name.</summary>
    ToolCall,

    /// <summary>More of the arguments of the call that has begun: JSON if the model kept to the format.</summary>
    ToolArguments,

    /// <summary>The call that has begun is over: all of its arguments have come.</summary>
    ToolCallEnd,

    /// <summary>The call that has begun is over because the response was cut off in it.</summary>
    ToolCallCut,
}

/// <summary>A part of a response; see <see cref="ResponseReader"/>.</summary>
/// <param name="Kind">What it is.</param>
/// <param name="Value">The text.</param>
public readonly record struct ResponsePart(ResponsePartKind Kind, string Value);
