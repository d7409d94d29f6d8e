namespace LocalLlm;

/// <summary>
/// Whether an answer calls tools (OpenAI's <c>tool_choice</c> and <c>parallel_tool_calls</c>). Where calls are required, the answer is
/// nothing else (a thought may come before), and their arguments are instances of the tools' schemas: only tokens that keep to it can be
/// chosen. The same holds for the calls of an answer that is free to make none, if one of the tools is marked <c>strict</c>.
/// </summary>
public sealed record ToolChoice
{
    /// <summary>The model decides.</summary>
    public static ToolChoice Auto { get; } = new();

    /// <summary>At least one call, of any of the tools.</summary>
    public static ToolChoice Required { get; } = new() { IsRequired = true };

    /// <summary>Whether the answer must be calls.</summary>
    public bool IsRequired { get; private init; }

    /// <summary>The only tool that may be called; null: any.</summary>
    public string? FunctionName { get; private init; }

    /// <summary>Whether required calls may be several.</summary>
    public bool AllowParallelCalls { get; init; } = true;

    /// <summary>One call of one tool.</summary>
    /// <param name="name">The tool's name.</param>
    public static ToolChoice Function(string name)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        return new() { IsRequired = true, FunctionName = name, AllowParallelCalls = false };
    }
}
