namespace LocalLlm.Parsing;

/// <summary>A whole response of a model.</summary>
public sealed record Response
{
    /// <summary>The text for the user.</summary>
    public string Text { get; init; } = "";

    /// <summary>The model's reasoning; empty if there is none.</summary>
    public string Reasoning { get; init; } = "";

    /// <summary>The tool calls, in order.</summary>
    public IReadOnlyList<ResponseToolCall> ToolCalls { get; init; } = [];
}

/// <summary>A tool call in a response.</summary>
/// <param name="Name">The tool's name.</param>
/// <param name="Arguments">Its arguments: JSON if the model followed the format.</param>
/// <param name="IsCut">Whether the response was cut off inside the call, so that the arguments are incomplete.</param>
public sealed record ResponseToolCall(string Name, string Arguments, bool IsCut);
