using System.Text.Json;
using System.Text.Unicode;

namespace LocalLlm.Server.JsonLines;

/// <summary>A line's bytes → a JSON object, or one error that says what is wrong with them.</summary>
internal static class JsonLineParser
{
    // Real requests nest some ten levels (JSON Schemas of tools); whoever reads the elements recurses.
    private static readonly JsonDocumentOptions Options = new() { MaxDepth = 200 };

    /// <summary>Parses <paramref name="line"/>; the caller disposes the document.</summary>
    /// <exception cref="EngineException">Kind InvalidRequest: no JSON object.</exception>
    public static JsonDocument Parse(JsonLine line)
    {
        if (line.Problem is not null)
            throw Bad(line, line.Problem);
        if (line.Utf8.Span.IndexOfAnyExcept(" \t\r"u8) < 0)
            throw Bad(line, "is blank; a JSON object was expected");
        // The JSON reader checks only the strings that somebody reads.
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

        if (document.RootElement.ValueKind == JsonValueKind.Object)
            return document;
        var kind = document.RootElement.ValueKind;
        document.Dispose();
        throw Bad(line, $"is a JSON {kind.ToString().ToLowerInvariant()}; a JSON object was expected");
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
