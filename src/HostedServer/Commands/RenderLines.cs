using System.Globalization;
using System.Text.Json;
using LocalLlm.Jinja;
using LocalLlm.Server.JsonLines;
using LocalLlm.Templating;

namespace LocalLlm.Server.Commands;

/// <summary>Lines of template variables → rendered texts.</summary>
internal sealed class RenderLines
{
    private const string Default = "default";
    private const string ToolUse = "tool_use";

    private readonly Dictionary<string, (string Name, Lazy<JinjaTemplate> Template)> _templates;
    private readonly PyDict _tokens;
    private readonly TimeProvider _time;

    /// <summary>Reads the template and, from a folder, the special tokens.</summary>
    /// <param name="file">A template file, which wins over the folder's; or null.</param>
    /// <param name="folder">A model folder, or null.</param>
    /// <param name="time">The clock of <c>strftime_now</c>.</param>
    /// <exception cref="EngineException">A file cannot be read or holds no template.</exception>
    public RenderLines(string? file, string? folder, TimeProvider time)
    {
        if (folder is not null && !Directory.Exists(folder))
            throw EngineException.ModelFolder(folder, "is not a folder; name one with tokenizer_config.json or chat_template.jinja");
        var loader = folder is null ? null : new ChatTemplateLoader(folder);
        var sources = file is null ? loader!.Templates : TemplateFile.Read(file);
        if (sources.Count == 0)
            throw EngineException.ModelFolder(file ?? folder!, "holds no chat template");

        // A template that cannot be parsed is every line's error, as one that fails is.
        _templates = sources.ToDictionary(
            source => source.Key,
            source => (
                source.Value.File,
                new Lazy<JinjaTemplate>(() => TemplateRenderer.Parse(source.Value.File, source.Value.Source, null))),
            StringComparer.Ordinal);
        _tokens = loader?.Tokens ?? new PyDict();
        _time = time;
    }

    /// <summary>Renders every line.</summary>
    public async Task<int> RunAsync(LineFiles files, Terminal terminal, CancellationToken cancellationToken)
    {
        files.Truncate();
        var run = new OrderedLines(files.Input, files.Output, (line, cancelled) => LineHandler.Compute(line, Answer, Error, cancelled));
        var counts = await LineProgress.ShowAsync(terminal, written => run.RunAsync(written, cancellationToken));
        await files.Output.FlushAsync(cancellationToken);
        if (counts.Failed > 0)
            await terminal.ErrorText.WriteLineAsync(string.Create(
                CultureInfo.InvariantCulture,
                $"{counts.Failed} of {counts.Lines} lines failed"));
        return ExitCodes.Success;
    }

    private LineResult Answer(JsonElement line)
    {
        var variables = _tokens.Copy();
        variables["tools"] = null;
        variables["documents"] = null;
        foreach (var (name, value) in TemplateRenderer.Object(line, "variables").Items)
            variables[name] = value;
        var (file, template) = Select(hasTools: variables.Get("tools") is not null);
        var text = TemplateRenderer.Render(template.Value, file, variables, _time);
        return LineResult.Object(writer => writer.WriteString("text", text));
    }

    private static LineResult Error(EngineException failure) => LineResult.Object(
        writer => writer.WriteString("error", failure.Message),
        failed: true);

    // As transformers chooses among named templates.
    private (string File, Lazy<JinjaTemplate> Template) Select(bool hasTools)
    {
        if (hasTools && _templates.TryGetValue(ToolUse, out var toolUse))
            return toolUse;
        if (_templates.TryGetValue(Default, out var usual))
            return usual;
        return _templates.Count == 1
            ? _templates.Values.First()
            : throw EngineException.InvalidRequest(
                "template",
                $"there are several templates and none is the default: {string.Join(", ", _templates.Keys)}");
    }
}
