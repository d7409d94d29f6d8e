namespace LocalLlm.Parsing;

/// <summary>How a model writes calls of tools: vLLM's <c>--tool-call-parser</c>.</summary>
internal enum ToolCallFormat
{
    /// <summary>DeepSeek V3 and R1.</summary>
    DeepSeekV3,

    /// <summary>DeepSeek V3.1.</summary>
    DeepSeekV31,

    /// <summary>Qwen 2.5 and 3.</summary>
    Hermes,

    /// <summary>Llama 3.</summary>
    Llama3Json,
}

/// <summary>Names of formats, and the parser of each.</summary>
internal static class ToolCallFormats
{
    private static readonly (string Name, ToolCallFormat Format)[] Names =
    [
        ("deepseek_v3", ToolCallFormat.DeepSeekV3),
        ("deepseek_v31", ToolCallFormat.DeepSeekV31),
        ("hermes", ToolCallFormat.Hermes),
        ("llama3_json", ToolCallFormat.Llama3Json),
    ];

    /// <summary>The names, for messages.</summary>
    public static string Allowed => string.Join(", ", Names.Select(pair => pair.Name));

    /// <summary>The name of a format.</summary>
    public static string NameOf(ToolCallFormat format) => Names.First(pair => pair.Format == format).Name;

    /// <summary>The format of a name, or null.</summary>
    public static ToolCallFormat? Find(string name) => Names.Where(pair => pair.Name == name).Select(pair => (ToolCallFormat?)pair.Format).FirstOrDefault();

    /// <summary>
    /// The format that a chat template writes calls of earlier turns in, or that the model's kind is known for: the template's own marks
    /// first, because a distill is named after what it was distilled from.
    /// </summary>
    /// <param name="template">The template's text; null: unknown.</param>
    /// <param name="modelType"><c>model_type</c> of config.json.</param>
    public static ToolCallFormat Detect(string? template, string? modelType)
    {
        if (template is not null)
        {
            if (template.Contains("<｜tool▁call▁begin｜>", StringComparison.Ordinal))
                return template.Contains("```json", StringComparison.Ordinal) ? ToolCallFormat.DeepSeekV3 : ToolCallFormat.DeepSeekV31;
            if (template.Contains("<tool_call>", StringComparison.Ordinal))
                return ToolCallFormat.Hermes;
            if (template.Contains("<|python_tag|>", StringComparison.Ordinal) || template.Contains("<|eot_id|>", StringComparison.Ordinal))
                return ToolCallFormat.Llama3Json;
            if (template.Contains("<｜Assistant｜>", StringComparison.Ordinal))
                return ToolCallFormat.DeepSeekV3;
        }

        return modelType switch
        {
            "deepseek_v3" or "deepseek_v2" => ToolCallFormat.DeepSeekV3,
            "llama" => ToolCallFormat.Llama3Json,
            _ => ToolCallFormat.Hermes,
        };
    }

    /// <summary>A new parser.</summary>
    /// <param name="format">The format.</param>
    /// <param name="isTextOrCalls">Whether a response that begins as text has no calls, whatever its text looks like: it is held to a
    /// structure.</param>
    public static IOutputParser CreateParser(this ToolCallFormat format, bool isTextOrCalls = false) => format switch
    {
        ToolCallFormat.DeepSeekV3 or ToolCallFormat.DeepSeekV31 => ToolCallParser.CreateDeepSeek(isTextOrCalls),
        ToolCallFormat.Hermes => ToolCallParser.CreateHermes(isTextOrCalls),
        ToolCallFormat.Llama3Json => new Llama3ToolParser(),
        _ => throw new ArgumentOutOfRangeException(nameof(format), format, "no such format"),
    };
}
