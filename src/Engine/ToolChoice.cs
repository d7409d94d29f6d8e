namespace LocalLlm;

/// <summary>
/// Whether a response calls tools (OpenAI's <c>tool_choice</c> and <c>parallel_tool_calls</c>). If calls are required, the response holds
/// only calls, after an optional thought. Their arguments conform to the tools' schemas, because only tokens that conform can be chosen.
/// The arguments of optional calls conform too if one of the tools is marked <c>strict</c>.
/// </summary>
public sealed record ToolChoice
{
    /// <summary>The model decides.</summary>
    public static ToolChoice Auto { get; } = new();

    /// <summary>At least one call, of any tool.</summary>
    public static ToolChoice Required { get; } = new() { IsRequired = true };

    /// <summary>Whether the response must be calls.</summary>
    public bool IsRequired { get; private init; }

    /// <summary>The only tool that may be called; null: any.</summary>
    public string? FunctionName { get; private init; }

    /// <summary>Whether several calls are allowed when calls are required.</summary>
    public bool AllowParallelCalls { get; init; } = true;

    /// <summary>One call of one tool.</summary>
    /// <param name="name">The tool's name.</param>
    public static ToolChoice Function(string name)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        return new() { IsRequired = true, FunctionName = name, AllowParallelCalls = false };
    }
}
