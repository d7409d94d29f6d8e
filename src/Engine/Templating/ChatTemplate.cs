using System.Text.Json;
using LocalLlm.Jinja;

namespace LocalLlm.Templating;

/// <summary>
/// The chat template of a model. It renders messages, tools and documents as a prompt, in the same way as transformers'
/// <c>apply_chat_template</c> and vLLM. Immutable; any number of threads may render at once.
/// </summary>
public sealed class ChatTemplate
{
    private static readonly HashSet<string> ReservedNames =
    [
        "messages", "conversation", "tools", "documents", "chat_template", "add_generation_prompt", "continue_final_message", "tokenize",
        "padding", "truncation", "max_length", "return_tensors", "return_dict", "return_assistant_tokens_mask", "tokenizer_kwargs",
    ];

    private readonly Dictionary<string, NamedTemplate> _templates;
    private readonly PyDict _tokens;

    private ChatTemplate(Dictionary<string, NamedTemplate> templates, PyDict tokens)
    {
        _templates = templates;
        _tokens = tokens;
    }

    /// <summary>Whether there is a template; without one, every render fails.</summary>
    public bool IsAvailable => _templates.Count > 0;

    /// <summary>The names of the templates; usually just <c>default</c>.</summary>
    public IReadOnlyCollection<string> Names => _templates.Keys;

    /// <summary>Describes tools if the template does not; null: nothing describes them.</summary>
    internal ToolPrompt? ToolPrompt { get; init; }

    /// <summary>The text of the template for chats without tools; null: there is none.</summary>
    internal string? Source => _templates.TryGetValue("default", out var template) ? template.Source : _templates.Values.FirstOrDefault()?.Source;

    /// <summary>The same templates with another <see cref="ToolPrompt"/>.</summary>
    internal ChatTemplate With(ToolPrompt toolPrompt) => new(_templates, _tokens) { ToolPrompt = toolPrompt };

    /// <summary>Loads the templates and special tokens of a model folder and parses them.</summary>
    /// <param name="modelFolder">The folder with tokenizer_config.json, chat_template.jinja and so on.</param>
    /// <param name="chatTemplate">Replaces the folder's template: a file, the name of one of its templates, or the template itself.</param>
    /// <param name="contentFormat">The form of content that the template expects.</param>
    /// <param name="limits">The limits of a render; null: the defaults.</param>
    /// <exception cref="EngineException">
    /// <see cref="EngineErrorKind.ModelFolder"/> for a template or file that cannot be read;
    /// <see cref="EngineErrorKind.InvalidOptions"/> where <paramref name="chatTemplate"/> is neither a file nor a template.
    /// </exception>
    public static ChatTemplate Load(
        string modelFolder,
        string? chatTemplate = null,
        ChatContentFormat contentFormat = ChatContentFormat.Auto,
        TemplateLimits? limits = null)
    {
        ArgumentNullException.ThrowIfNull(modelFolder);
        var loader = new ChatTemplateLoader(modelFolder);
        var sources = loader.Templates;
        if (chatTemplate is not null)
            sources = new() { ["default"] = Override(chatTemplate, sources) };
        var templates = sources.ToDictionary(
            source => source.Key,
            source => new NamedTemplate(source.Value.File, source.Value.Source, contentFormat, limits),
            StringComparer.Ordinal);
        return new ChatTemplate(templates, loader.Tokens);
    }

    /// <summary>Checks a replacement in the same way as <see cref="Load"/>, without loading anything else.</summary>
    /// <param name="chatTemplate">A file, the name of one of the model's templates, or the template itself.</param>
    /// <param name="modelFolder">The folder with the model's templates; null: not downloaded yet, so that a name is not checked.</param>
    /// <exception cref="EngineException">The file cannot be read, the template is malformed, or the text is neither.</exception>
    internal static void CheckReplacement(string chatTemplate, string? modelFolder)
    {
        var isName = !File.Exists(chatTemplate) && !chatTemplate.AsSpan().ContainsAny('{', '}', '\n');
        if (isName && modelFolder is null && !chatTemplate.AsSpan().ContainsAny('/', '\\', '.'))
            return;
        var (file, source) = Override(chatTemplate, isName && modelFolder is not null ? new ChatTemplateLoader(modelFolder).Templates : []);
        TemplateRenderer.Parse(file, source, null);
    }

    private static (string File, string Source) Override(string chatTemplate, Dictionary<string, (string File, string Source)> named)
    {
        if (File.Exists(chatTemplate))
            return (Path.GetFileName(chatTemplate), ChatTemplateLoader.ReadText(chatTemplate, Path.GetFileName(chatTemplate)));
        if (named.TryGetValue(chatTemplate, out var source))
            return source;
        // As in vLLM: a text without any of the characters that every template contains must be a path.
        return chatTemplate.AsSpan().ContainsAny('{', '}', '\n')
            ? ("the template", chatTemplate)
            : throw new EngineException(
                EngineErrorKind.InvalidOptions, $"'{chatTemplate}' is neither a file nor a template", "chat_template");
    }

    /// <summary>Renders a chat.</summary>
    /// <param name="request">The chat.</param>
    /// <param name="guardText">
    /// Puts the guard character before each added token in a text (arguments: text, guard character, whether an assistant
    /// wrote it); null: the caller's text is trusted.
    /// </param>
    /// <param name="time">The clock and zone of <c>strftime_now</c>; null: the system's.</param>
    /// <exception cref="EngineException">
    /// <see cref="EngineErrorKind.InvalidRequest"/>: the model has no template, the request is malformed, or the template refuses it.
    /// </exception>
    public RenderedPrompt Render(
        ChatTemplateRequest request, Func<string, char, bool, string>? guardText = null, TimeProvider? time = null)
    {
        ArgumentNullException.ThrowIfNull(request);
        var tools = Objects(request.Tools, "tools");
        var template = Select(hasTools: tools is not null);
        if (request.ContinueFinalMessage && request.AddGenerationPrompt)
        {
            throw EngineException.InvalidRequest(
                "continue_final_message", "continue_final_message and add_generation_prompt cannot both be true");
        }

        var messages = Objects(request.Messages, "messages") ?? throw EngineException.InvalidRequest("messages", "messages must not be empty");
        var input = new ChatTemplateInput
        {
            Messages = request.Structure is { } structure ? SystemText.Append(messages, StructurePrompt.Write(structure, tools is not null)) : messages,
            HasSystemText = messages.Exists(SystemText.IsSystem),
            Tools = tools,
            Documents = Objects(request.Documents, "documents"),
            Variables = Variables(request.ChatTemplateKwargs),
            SpecialTokens = _tokens,
            ToolPrompt = request.DescribeTools ? ToolPrompt : null,
            AddGenerationPrompt = request.AddGenerationPrompt,
            ContinueFinalMessage = request.ContinueFinalMessage,
        };
        return template.Render(input, guardText, time);
    }

    private NamedTemplate Select(bool hasTools)
    {
        if (_templates.Count == 0)
        {
            throw EngineException.InvalidRequest(
                "messages", "the model has no chat template; pass one with --chat-template, or send a plain prompt");
        }

        if (hasTools && _templates.TryGetValue("tool_use", out var toolUse))
            return toolUse;
        if (_templates.TryGetValue("default", out var template))
            return template;
        if (_templates.Count == 1)
            return _templates.Values.First();
        var names = string.Join(", ", _templates.Keys);
        throw EngineException.InvalidRequest(
            "messages", $"the model has several chat templates and none is the default; choose one with --chat-template: {names}");
    }

    private static List<object?>? Objects(JsonElement? element, string field)
    {
        if (element is not { ValueKind: not (JsonValueKind.Null or JsonValueKind.Undefined) } array)
            return null;
        if (array.ValueKind != JsonValueKind.Array)
            throw EngineException.InvalidRequest(field, $"{field} must be an array, found {array.ValueKind}");
        foreach (var item in array.EnumerateArray())
        {
            if (item.ValueKind != JsonValueKind.Object)
                throw EngineException.InvalidRequest(field, $"{field} must be an array of objects, found {item.ValueKind} in it");
        }

        return array.GetArrayLength() == 0 ? null : (List<object?>)TemplateRenderer.Value(array, field)!;
    }

    private PyDict Variables(IReadOnlyDictionary<string, JsonElement>? kwargs)
    {
        const string Field = "chat_template_kwargs";
        var variables = new PyDict();
        foreach (var (name, value) in kwargs ?? new Dictionary<string, JsonElement>())
        {
            var isToken = _tokens.Contains(name) || name.EndsWith("_token", StringComparison.Ordinal);
            if (isToken || ReservedNames.Contains(name) || JinjaTemplate.IsGlobal(name))
                throw EngineException.InvalidRequest(Field, $"{Field}: '{name}' is reserved and cannot be set by a request");
            variables[name] = TemplateRenderer.Value(value, Field);
        }

        return variables;
    }
}
