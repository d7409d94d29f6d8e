using System.Text.Json;
using System.Text.Unicode;

namespace LocalLlm.Tool.JsonLines;

/// <summary>
/// Parses a line's bytes to a JSON object, or to a JSON string if one is allowed; otherwise one error says what is wrong.
/// </summary>
internal static class JsonLineParser
{
    // Real requests nest some ten levels (JSON Schemas of tools); code that reads the elements recurses.
    private static readonly JsonDocumentOptions Options = new() { MaxDepth = 200 };

    /// <summary>Parses <paramref name="line"/>; the caller disposes the document.</summary>
    /// <param name="line">The line.</param>
    /// <param name="takesText">Whether the line may also be a JSON string.</param>
    /// <exception cref="EngineException">Kind InvalidRequest: the line is not a JSON object.</exception>
    public static JsonDocument Parse(JsonLine line, bool takesText = false)
    {
        var expected = takesText ? "a JSON object or a JSON string was expected" : "a JSON object was expected";
        if (line.Problem is not null)
            throw Bad(line, line.Problem);
        if (line.Utf8.Span.IndexOfAnyExcept(" \t\r"u8) < 0)
            throw Bad(line, "is blank; " + expected);
        // The JSON reader checks the encoding only of strings that are read.
        if (!Utf8.IsValid(line.Utf8.Span))
            throw Bad(line, "is not valid UTF-8");
        JsonDocument document;
        try
        {
            document = JsonDocument.Parse(line.Utf8, Options);
        }
        catch (JsonException failure)
        {
            throw Bad(line, $"is not valid JSON: {Cause(failure)} (at byte {failure.BytePositionInLine ?? 0})");
        }

        var kind = document.RootElement.ValueKind;
        if (kind == JsonValueKind.Object || (takesText && kind == JsonValueKind.String))
            return document;
        document.Dispose();
        throw Bad(line, $"is a JSON {kind.ToString().ToLowerInvariant()}; {expected}");
    }

    private static EngineException Bad(JsonLine line, string problem) => EngineException.InvalidRequest(
        null,
        $"line {line.Number} {problem}");

    private static string Cause(JsonException failure)
    {
        var end = failure.Message.IndexOf(" LineNumber:", StringComparison.Ordinal);
        return end < 0 ? failure.Message : failure.Message[..end];
    }
}
