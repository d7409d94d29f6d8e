using System.Globalization;
using System.Text.Json;
using LocalLlm.Tool.JsonLines;
using LocalLlm.Templating;

namespace LocalLlm.Tool.Commands;

/// <summary>Lines of template variables → rendered texts.</summary>
internal sealed class RenderLines
{
    private readonly TemplateSet _templates;
    private readonly TimeProvider _time;

    /// <summary>Reads the template and, from a folder, the special tokens.</summary>
    /// <param name="file">A template file, used instead of the folder's template; or null.</param>
    /// <param name="folder">A model folder, or null.</param>
    /// <param name="time">The clock of <c>strftime_now</c>.</param>
    /// <exception cref="EngineException">A file cannot be read or contains no template.</exception>
    public RenderLines(string? file, string? folder, TimeProvider time)
    {
        if (file is not null && !File.Exists(file))
            throw EngineException.ModelFolder(file, "does not exist; --template names a .jinja file or a JSON file with chat_template");
        _templates = TemplateSet.Load(file, folder);
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
        var text = _templates.Render(line, _time);
        return LineResult.Object(writer => writer.WriteString("text", text));
    }

    private static LineResult Error(EngineException failure) => LineResult.Object(
        writer => writer.WriteString("error", failure.Message),
        failed: true);
}
