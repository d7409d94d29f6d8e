namespace LocalLlm.Parsing;

/// <summary>The marks around the parts of a call in each format. Parsers look for them, and grammars write them.</summary>
/// <param name="Open">Before all calls.</param>
/// <param name="Close">After all calls.</param>
/// <param name="Begin">Begins a call; empty: a response with calls consists of calls from its first character.</param>
/// <param name="BeforeName">Between that and the name.</param>
/// <param name="BeforeArguments">Between the name and the arguments.</param>
/// <param name="End">After the arguments.</param>
/// <param name="Between">Between two calls.</param>
internal sealed record ToolCallMarks(string Open, string Close, string Begin, string BeforeName, string BeforeArguments, string End, string Between)
{
    /// <summary>Tokens of tokenizers that are such marks, or parts of them.</summary>
    public static IReadOnlySet<string> Tokens { get; } = new HashSet<string>(StringComparer.Ordinal)
    {
        "<tool_call>", "</tool_call>", "<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>", "<｜tool▁call▁begin｜>", "<｜tool▁call▁end｜>", "<｜tool▁sep｜>",
    };

    /// <summary>The marks of a format.</summary>
    public static ToolCallMarks Of(ToolCallFormat format) => format switch
    {
        ToolCallFormat.DeepSeekV3 => new("<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>", "<｜tool▁call▁begin｜>", "function<｜tool▁sep｜>", "\n```json\n", "\n```<｜tool▁call▁end｜>", "\n"),
        ToolCallFormat.DeepSeekV31 => new("<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>", "<｜tool▁call▁begin｜>", "", "<｜tool▁sep｜>", "<｜tool▁call▁end｜>", ""),
        ToolCallFormat.Hermes => new("", "", "<tool_call>", "\n{\"name\": \"", "\", \"arguments\": ", "}\n</tool_call>", "\n"),
        ToolCallFormat.Llama3Json => new("", "", "", "{\"name\": \"", "\", \"parameters\": ", "}", "; "),
        _ => throw new ArgumentOutOfRangeException(nameof(format), format, "no such format"),
    };
}
