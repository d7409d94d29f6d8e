using LocalLlm.Jinja;
using LocalLlm.Parsing;

namespace LocalLlm.Templating;

/// <summary>
/// Describes tools to a model whose own template has no place for them (the R1 distills). It is a Jinja template over <c>tools</c> whose
/// text is added to the end of the system message.
/// </summary>
internal sealed class ToolPrompt
{
    private readonly JinjaTemplate _template;
    private readonly string _name;

    private ToolPrompt(string name, string source)
    {
        _name = name;
        _template = TemplateRenderer.Parse(name, source, null);
    }

    /// <summary>Loads the engine's own text for a format, or a replacement.</summary>
    /// <param name="format">How the model writes calls.</param>
    /// <param name="replacement">A file, or the template itself; null: the engine's own.</param>
    /// <exception cref="EngineException">The file cannot be read, or the template is malformed.</exception>
    public static ToolPrompt Load(ToolCallFormat format, string? replacement)
    {
        const string option = "tool_prompt";
        if (replacement is null)
            return new(option, BuiltIn(ToolCallFormats.NameOf(format)));
        if (File.Exists(replacement))
            return new(Path.GetFileName(replacement), ChatTemplateLoader.ReadText(replacement, Path.GetFileName(replacement)));
        return replacement.AsSpan().ContainsAny('{', '}', '\n')
            ? new(option, replacement)
            : throw new EngineException(EngineErrorKind.InvalidOptions, $"{option} '{replacement}' is neither a file nor a template.", option);
    }

    /// <summary>Messages with the tools described in the system message. A chat without one gets a system message. Neither the list nor its
    /// messages are changed.</summary>
    /// <param name="messages">The chat.</param>
    /// <param name="tools">The tools.</param>
    /// <param name="specialTokens">Variables such as <c>bos_token</c>.</param>
    /// <param name="guard">The guard character in the texts, or null.</param>
    public List<object?> AddTo(List<object?> messages, object? tools, PyDict specialTokens, char? guard)
    {
        var variables = specialTokens.Copy();
        variables["tools"] = tools;
        var text = TemplateRenderer.Render(_template, _name, variables, null, guard);
        return SystemText.Append(messages, text);
    }

    private static string BuiltIn(string format)
    {
        using var stream = typeof(ToolPrompt).Assembly.GetManifestResourceStream($"LocalLlm.ToolPrompts.{format}")
            ?? throw new InvalidOperationException($"no built-in tool prompt for {format}");
        using var reader = new StreamReader(stream);
        return reader.ReadToEnd().TrimEnd('\n');
    }
}
