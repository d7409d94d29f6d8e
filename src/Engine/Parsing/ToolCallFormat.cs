namespace LocalLlm.Parsing;

/// <summary>How a model writes tool calls: vLLM's <c>--tool-call-parser</c>.</summary>
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

/// <summary>The names of the formats, and their parsers.</summary>
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

    /// <summary>The format with a given name, or null.</summary>
    public static ToolCallFormat? Find(string name) => Names.Where(pair => pair.Name == name).Select(pair => (ToolCallFormat?)pair.Format).FirstOrDefault();

    /// <summary>
    /// Detects the format: from the marks with which a chat template writes earlier calls, else from the model's type. The template comes
    /// first, because a distill has the type of its base model.
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

    /// <summary>Creates a parser.</summary>
    /// <param name="format">The format.</param>
    /// <param name="isTextOrCalls">Whether a response that begins as text has no calls, whatever its text looks like, because it follows a
    /// given structure.</param>
    public static IOutputParser CreateParser(this ToolCallFormat format, bool isTextOrCalls = false) => format switch
    {
        ToolCallFormat.DeepSeekV3 or ToolCallFormat.DeepSeekV31 => ToolCallParser.CreateDeepSeek(isTextOrCalls),
        ToolCallFormat.Hermes => ToolCallParser.CreateHermes(isTextOrCalls),
        ToolCallFormat.Llama3Json => new Llama3ToolParser(),
        _ => throw new ArgumentOutOfRangeException(nameof(format), format, "no such format"),
    };
}
