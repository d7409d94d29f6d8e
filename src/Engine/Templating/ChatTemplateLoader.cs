using System.Buffers;
using System.Text.Json;
using LocalLlm.Jinja;
using LocalLlm.Primitives;
using LocalLlm.Weights;

namespace LocalLlm.Templating;

/// <summary>Finds the chat templates and special tokens of a model folder in the same places as transformers.</summary>
internal sealed class ChatTemplateLoader
{
    private const int MaxTemplateBytes = 4 << 20;
    private const int MaxMemberBytes = 8 << 20;

    private readonly string _folder;

    public ChatTemplateLoader(string folder)
    {
        _folder = folder;
        var config = ReadJson("tokenizer_config.json");
        var map = ReadJson("special_tokens_map.json");
        try
        {
            if (config is not null)
                SpecialTokens.Add(Tokens, config.RootElement, "tokenizer_config.json");
            if (map is not null)
                SpecialTokens.Add(Tokens, map.RootElement, "special_tokens_map.json");
            FindTemplates(config);
        }
        catch (InvalidOperationException e)
        {
            throw EngineException.ModelFolder("tokenizer_config.json", "a string contains half of a surrogate pair, which is not Unicode text", e);
        }
        finally
        {
            config?.Dispose();
            map?.Dispose();
        }
    }

    /// <summary>The special tokens by variable name.</summary>
    public PyDict Tokens { get; } = new();

    /// <summary>Template texts by name; <c>default</c> is the usual one. Messages use the file's name.</summary>
    public Dictionary<string, (string File, string Source)> Templates { get; } = new(StringComparer.Ordinal);

    private void FindTemplates(JsonDocument? config)
    {
        const string Jinja = "chat_template.jinja", Json = "chat_template.json", Config = "tokenizer_config.json";
        if (Path.Exists(Path.Combine(_folder, Jinja)))
        {
            Templates["default"] = (Jinja, ReadText(Path.Combine(_folder, Jinja), Jinja));
        }
        else
        {
            using var document = ReadJson(Json);
            if (document is not null)
                AddFrom(document.RootElement, Json);
            if (Templates.Count == 0 && config is not null)
                AddFrom(config.RootElement, Config);
        }

        var more = Path.Combine(_folder, "additional_chat_templates");
        if (!Directory.Exists(more))
            return;
        foreach (var path in Directory.EnumerateFiles(more, "*.jinja").Order(StringComparer.Ordinal))
        {
            var file = "additional_chat_templates/" + Path.GetFileName(path);
            Templates[Path.GetFileNameWithoutExtension(path)] = (file, ReadText(path, file));
        }
    }

    private void AddFrom(JsonElement root, string file)
    {
        if (!root.TryGetProperty("chat_template", out var template) || template.ValueKind == JsonValueKind.Null)
            return;
        if (template.ValueKind == JsonValueKind.String)
        {
            Templates["default"] = (file, template.GetString()!);
            return;
        }

        if (template.ValueKind != JsonValueKind.Array)
            throw EngineException.ModelFolder(file, $"chat_template must be a string or a list of named templates, found {template.ValueKind}");
        foreach (var item in template.EnumerateArray())
        {
            if (item.ValueKind != JsonValueKind.Object || !item.TryGetProperty("name", out var name) || name.ValueKind != JsonValueKind.String
                || !item.TryGetProperty("template", out var source) || source.ValueKind != JsonValueKind.String)
            {
                throw EngineException.ModelFolder(file, "each entry of chat_template must have a name and a template, both strings");
            }

            Templates[name.GetString()!] = (file, source.GetString()!);
        }
    }

    private JsonDocument? ReadJson(string file)
    {
        var path = Path.Combine(_folder, file);
        if (!Path.Exists(path))
            return null;

        // Streamed: of a large file, only the relevant members become a document.
        var sections = ModelFolderFile.Checked(() => JsonSections.ReadFile(path));
        var reduced = new ArrayBufferWriter<byte>();
        using (var writer = new Utf8JsonWriter(reduced))
        {
            writer.WriteStartObject();
            foreach (var name in SpecialTokens.Members.Append("chat_template"))
            {
                var member = sections.Bytes(name);
                if (member.Length > MaxMemberBytes)
                    throw EngineException.ModelFolder(file, $"{name} has {member.Length} bytes, allowed are {MaxMemberBytes}");
                if (member.IsEmpty)
                    continue;
                writer.WritePropertyName(name);
                writer.WriteRawValue(member.Span, skipInputValidation: true);
            }

            writer.WriteEndObject();
        }

        return ModelFolderFile.Checked(() =>
            JsonSections.Guarded(file, "the file", () => JsonDocument.Parse(reduced.WrittenMemory, new JsonDocumentOptions { MaxDepth = JsonSections.MaxDepth + 1 })));
    }

    /// <summary>Reads a template file.</summary>
    public static string ReadText(string path, string file)
    {
        try
        {
            var text = new System.Text.UTF8Encoding(false, throwOnInvalidBytes: true).GetString(ModelFolderFile.ReadBytes(path, file, MaxTemplateBytes, "a chat template"));
            return text.TrimStart('\uFEFF');
        }
        catch (System.Text.DecoderFallbackException e)
        {
            throw EngineException.ModelFolder(file, "not valid UTF-8", e);
        }
    }
}
