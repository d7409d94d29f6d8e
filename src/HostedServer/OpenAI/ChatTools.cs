using System.Text.Json;
using LocalLlm.Requests;

namespace LocalLlm.Server.OpenAI;

/// <summary>Reads the <c>tools</c> of a chat.</summary>
internal static class ChatTools
{
    private const int MaxTools = 128;
    private const int LongestName = 64;

    /// <summary>Returns the tools, or null if there are none or they are invalid (recorded as errors).</summary>
    public static JsonElement? Read(JsonFields fields, RequestErrors errors)
    {
        if (fields.Json("tools", JsonValueKind.Array, "a list of tools") is not { } tools)
            return null;
        var count = tools.GetArrayLength();
        // Many clients send an empty list for no tools.
        if (count == 0)
            return null;
        if (count > MaxTools)
        {
            errors.Add("tools", $"{count} tools", $"at most {MaxTools}");
            return null;
        }

        var names = new HashSet<string>(StringComparer.Ordinal);
        var index = 0;
        foreach (var tool in tools.EnumerateArray())
            Check(tool, $"tools[{index++}]", names, errors);
        return tools.Clone();
    }

    private static void Check(JsonElement tool, string where, HashSet<string> names, RequestErrors errors)
    {
        if (tool.ValueKind != JsonValueKind.Object || !tool.TryGetProperty("type", out var type) || type.ValueKind != JsonValueKind.String || !type.ValueEquals("function"))
        {
            errors.Add($"{where}.type", tool.ValueKind == JsonValueKind.Object && tool.TryGetProperty("type", out var given) && given.ValueKind == JsonValueKind.String ? given.GetString()! : tool.ValueKind == JsonValueKind.Object ? "nothing" : tool.ValueKind.ToString().ToLowerInvariant(), "function");
            return;
        }

        if (!tool.TryGetProperty("function", out var function) || function.ValueKind != JsonValueKind.Object)
        {
            errors.Add($"{where}.function", "nothing", "an object with a name");
            return;
        }

        if (NamedFunction(tool) is not { Length: > 0 and <= LongestName } name || !name.All(character => char.IsAsciiLetterOrDigit(character) || character is '_' or '-' or '.'))
            errors.Add($"{where}.function.name", NamedFunction(tool) ?? "nothing", $"1 to {LongestName} letters, digits, _, - and .");
        else if (!names.Add(name))
            errors.Add($"{where}.function.name", name, "each name once");
        Check(function, "description", JsonValueKind.String, "a text", where, errors);
        Check(function, "parameters", JsonValueKind.Object, "a JSON schema", where, errors);
        if (function.TryGetProperty("strict", out var strict) && strict.ValueKind is not (JsonValueKind.True or JsonValueKind.False or JsonValueKind.Null))
            errors.Add($"{where}.function.strict", strict.ValueKind.ToString().ToLowerInvariant(), "true or false");
    }

    private static void Check(JsonElement function, string name, JsonValueKind kind, string allowed, string where, RequestErrors errors)
    {
        if (function.TryGetProperty(name, out var value) && value.ValueKind != kind && value.ValueKind != JsonValueKind.Null)
            errors.Add($"{where}.function.{name}", value.ValueKind.ToString().ToLowerInvariant(), allowed);
    }

    private static string? NamedFunction(JsonElement holder) =>
        holder.ValueKind == JsonValueKind.Object && holder.TryGetProperty("type", out var type) && type.ValueKind == JsonValueKind.String && type.ValueEquals("function")
        && holder.TryGetProperty("function", out var function) && function.ValueKind == JsonValueKind.Object && function.TryGetProperty("name", out var name) && name.ValueKind == JsonValueKind.String
            ? name.GetString()
            : null;
}
