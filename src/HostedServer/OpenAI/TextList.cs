using System.Text.Json;
using LocalLlm.Requests;

namespace LocalLlm.Server.OpenAI;

/// <summary>A text of a request, and the object that held it (<c>{"text": …}</c>), if any.</summary>
/// <param name="Text">The text.</param>
/// <param name="Given">The whole object, with the client's other members.</param>
internal readonly record struct TextItem(string Text, JsonElement? Given);

/// <summary>Reads texts of the routes that compare them: plain texts, or documents in Jina's and Cohere's format.</summary>
internal static class TextList
{
    // The same maximum as of /v1/embeddings.
    private const int MaxTexts = 2048;
    private const string OneAllowed = "a text, or an object with a text";

    /// <summary>Reads a list, or one bare text; null if it is absent or invalid.</summary>
    public static IReadOnlyList<TextItem>? Read(JsonFields fields, RequestErrors errors, string name, bool allowBare)
    {
        var allowed = $"{(allowBare ? "a text, or " : "")}a list of 1 to {MaxTexts} texts, or of objects with a text";
        if (fields.Take(name) is not { } given)
            return null;
        if (allowBare && given.ValueKind is JsonValueKind.String or JsonValueKind.Object)
            return ReadOne(fields, errors, name, given) is { } bare ? [bare] : null;
        if (given.ValueKind != JsonValueKind.Array)
        {
            fields.Refuse(name, given, allowed);
            return null;
        }

        if (given.GetArrayLength() is var count && count is < 1 or > MaxTexts)
        {
            errors.Add(name, $"{count} texts", allowed);
            return null;
        }

        var texts = new List<TextItem>(count);
        foreach (var item in given.EnumerateArray())
        {
            // The first error shows what is wrong with the list.
            if (ReadOne(fields, errors, $"{name}[{texts.Count}]", item) is not { } text)
                return null;
            texts.Add(text);
        }

        return texts;
    }

    private static TextItem? ReadOne(JsonFields fields, RequestErrors errors, string place, JsonElement given)
    {
        if (given.ValueKind == JsonValueKind.String)
            return new(given.GetString()!, null);
        if (given.ValueKind != JsonValueKind.Object)
        {
            fields.Refuse(place, given, OneAllowed);
            return null;
        }

        if (given.TryGetProperty("text", out var text) && text.ValueKind == JsonValueKind.String)
            // Cloned to outlive the body.
            return new(text.GetString()!, given.Clone());
        foreach (var other in (string[])["image", "image_url", "content"])
        {
            if (!given.TryGetProperty(other, out _))
                continue;
            errors.AddUnsupported($"{place}.{other}");
            return null;
        }

        if (text.ValueKind == JsonValueKind.Undefined)
            errors.Add($"{place}.text", "nothing", "a text");
        else
            fields.Refuse($"{place}.text", text, "a text");
        return null;
    }
}
