using System.Text.Json;

namespace LocalLlm.Templating;

/// <summary>A template file: the template's text, or JSON that contains it.</summary>
internal static class TemplateFile
{
    /// <summary>The templates by name; <c>default</c> for a single one.</summary>
    /// <exception cref="EngineException">Kind ModelFolder: the file cannot be read or holds no template.</exception>
    public static Dictionary<string, (string File, string Source)> Read(string path)
    {
        var file = Path.GetFileName(path);
        var text = ChatTemplateLoader.ReadText(path, file);

        // No template begins like a JSON object: in a template, a brace is followed by another brace, a percent sign or a hash.
        if (!text.TrimStart().StartsWith('{') || !TryParse(text, out var json))
            return new() { ["default"] = (file, text) };
        using (json)
            return FromJson(json!.RootElement, file);
    }

    private static Dictionary<string, (string File, string Source)> FromJson(JsonElement root, string file)
    {
        var templates = new Dictionary<string, (string File, string Source)>(StringComparer.Ordinal);
        if (Member(root, "chat_template") is { } single)
        {
            templates["default"] = (file, single);
        }
        else if (root.TryGetProperty("chat_template", out var found) && found.ValueKind == JsonValueKind.Array)
        {
            foreach (var item in found.EnumerateArray().Where(item => item.ValueKind == JsonValueKind.Object))
            {
                if (Member(item, "name") is { } name && Member(item, "template") is { } source)
                    templates[name] = (file, source);
            }
        }

        return templates.Count > 0 ? templates : throw EngineException.ModelFolder(
            file,
            "has no chat_template; a text or a list of {name, template} was expected");
    }

    private static string? Member(JsonElement element, string name)
    {
        try
        {
            return element.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;
        }
        catch (InvalidOperationException)
        {
            // Half of a surrogate pair cannot become text.
            return null;
        }
    }

    private static bool TryParse(string text, out JsonDocument? document)
    {
        document = null;
        try
        {
            document = JsonDocument.Parse(text);
            return document.RootElement.ValueKind == JsonValueKind.Object;
        }
        catch (JsonException)
        {
            return false;
        }
    }
}
