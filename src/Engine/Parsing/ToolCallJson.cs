using System.Text.Json;
using System.Text.RegularExpressions;

namespace LocalLlm.Parsing;

/// <summary>A call written as one JSON object with a name and arguments.</summary>
internal static partial class ToolCallJson
{
    private const string NoArguments = "{}";

    /// <summary>Reads a call. Where only the arguments are broken, they are given as they are: whoever parses them will say what is wrong.</summary>
    /// <returns>Null where not even a name can be made out.</returns>
    public static OutputPiece? Read(string text)
    {
        try
        {
            using var document = JsonDocument.Parse(text);
            var call = document.RootElement;
            if (call.ValueKind != JsonValueKind.Object || !call.TryGetProperty("name", out var name) || name.ValueKind != JsonValueKind.String || name.GetString() is not { Length: > 0 } tool)
                return null;
            if (!call.TryGetProperty("arguments", out var arguments) && !call.TryGetProperty("parameters", out arguments))
                return new(OutputPieceKind.ToolCall, NoArguments, tool);
            // Some models write the arguments as a text that holds JSON.
            var value = arguments.ValueKind switch
            {
                JsonValueKind.String => arguments.GetString()!,
                JsonValueKind.Null => NoArguments,
                _ => arguments.GetRawText(),
            };
            return new(OutputPieceKind.ToolCall, value, tool);
        }
        catch (Exception failure) when (failure is JsonException or InvalidOperationException)
        {
            return ReadBroken(text);
        }
    }

    /// <summary>Whether a text is one whole JSON value.</summary>
    public static bool IsJson(string text)
    {
        try
        {
            JsonDocument.Parse(text).Dispose();
            return true;
        }
        catch (JsonException)
        {
            return false;
        }
    }

    private static OutputPiece? ReadBroken(string text)
    {
        if (NamePattern().Match(text) is not { Success: true } name || ArgumentsPattern().Match(text) is not { Success: true } arguments || name.Index > arguments.Index)
            return null;
        var rest = text[(arguments.Index + arguments.Length)..].Trim();
        return new(OutputPieceKind.ToolCall, rest.EndsWith('}') ? rest[..^1].TrimEnd() : rest, name.Groups[1].Value);
    }

    [GeneratedRegex("""^\s*\{\s*"name"\s*:\s*"([^"\\]+)"\s*,""", RegexOptions.CultureInvariant | RegexOptions.NonBacktracking)]
    private static partial Regex NamePattern();

    [GeneratedRegex(""",\s*"(?:arguments|parameters)"\s*:""", RegexOptions.CultureInvariant | RegexOptions.NonBacktracking)]
    private static partial Regex ArgumentsPattern();
}
