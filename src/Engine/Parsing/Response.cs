namespace LocalLlm.Parsing;

/// <summary>A whole response of a model.</summary>
public sealed record Response
{
    /// <summary>The text for the reader.</summary>
    public string Text { get; init; } = "";

    /// <summary>What the model thought; empty where it did not.</summary>
    public string Reasoning { get; init; } = "";

    /// <summary>The calls of tools, in order.</summary>
    public IReadOnlyList<ResponseToolCall> ToolCalls { get; init; } = [];
}

/// <summary>A call of a tool in a response.</summary>
/// <param name="Name">The tool's name.</param>
/// <param name="Arguments">Its arguments: JSON if the model kept to the format.</param>
/// <param name="IsCut">Whether the response was cut off in it, so that the arguments are incomplete.</param>
public sealed record ResponseToolCall(string Name, string Arguments, bool IsCut);
