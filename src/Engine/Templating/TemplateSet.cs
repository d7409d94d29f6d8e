using System.Text.Json;
using LocalLlm.Jinja;

namespace LocalLlm.Templating;

/// <summary>
/// The chat templates of a model folder or of a file. They are rendered with the given variables only, as transformers'
/// <c>render_jinja_template</c> does. The additions of <see cref="ChatTemplate"/> for an engine are left out: checks of messages, tools
/// that a template does not support, guarded text. Safe for concurrent use.
/// </summary>
public sealed class TemplateSet
{
    private const string Default = "default";
    private const string ToolUse = "tool_use";

    private readonly Dictionary<string, (string Name, Lazy<JinjaTemplate> Template)> _templates;
    private readonly PyDict _tokens;

    private TemplateSet(Dictionary<string, (string File, string Source)> sources, PyDict tokens)
    {
        // A template that cannot be parsed fails only when it is rendered.
        _templates = sources.ToDictionary(
            source => source.Key,
            source => (
                source.Value.File,
                new Lazy<JinjaTemplate>(() => TemplateRenderer.Parse(source.Value.File, source.Value.Source, null))),
            StringComparer.Ordinal);
        _tokens = tokens;
    }

    /// <summary>Reads templates and, from a folder, the special tokens. At least one of the two must be given.</summary>
    /// <param name="file">A template file (text, or JSON with <c>chat_template</c>) that replaces the folder's; or null.</param>
    /// <param name="folder">A model folder, or null.</param>
    /// <exception cref="EngineException">Kind ModelFolder: a file cannot be read or holds no template.</exception>
    public static TemplateSet Load(string? file, string? folder)
    {
        if (file is null)
            ArgumentNullException.ThrowIfNull(folder);
        if (folder is not null && !Directory.Exists(folder))
            throw EngineException.ModelFolder(folder, "is not a folder; name one with tokenizer_config.json or chat_template.jinja");
        var loader = folder is null ? null : new ChatTemplateLoader(folder);
        var sources = file is null ? loader!.Templates : TemplateFile.Read(file);
        return sources.Count > 0
            ? new(sources, loader?.Tokens ?? new())
            : throw EngineException.ModelFolder(file ?? folder!, "holds no chat template");
    }

    /// <summary>Renders the template that transformers would choose: <c>tool_use</c> if there are tools and it exists, else the
    /// default.</summary>
    /// <param name="variables">The template's variables, an object; <c>bos_token</c> and so on take precedence over the folder's.</param>
    /// <param name="time">The clock of <c>strftime_now</c>.</param>
    /// <exception cref="EngineException">InvalidRequest: the template refuses the variables, or there is no default template. ModelFolder:
    /// it cannot be parsed.</exception>
    public string Render(JsonElement variables, TimeProvider time)
    {
        ArgumentNullException.ThrowIfNull(time);
        var all = _tokens.Copy();
        all["tools"] = null;
        all["documents"] = null;
        foreach (var (name, value) in TemplateRenderer.Object(variables, "variables").Items)
            all[name] = value;
        var (file, template) = Select(hasTools: all.Get("tools") is not null);
        return TemplateRenderer.Render(template.Value, file, all, time);
    }

    private (string File, Lazy<JinjaTemplate> Template) Select(bool hasTools)
    {
        if (hasTools && _templates.TryGetValue(ToolUse, out var toolUse))
            return toolUse;
        if (_templates.TryGetValue(Default, out var usual))
            return usual;
        return _templates.Count == 1
            ? _templates.Values.First()
            : throw EngineException.InvalidRequest(
                "template", $"there are several templates and none is the default: {string.Join(", ", _templates.Keys)}");
    }
}
