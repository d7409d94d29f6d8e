using System.Text.Json;
using System.Text.Unicode;

namespace LocalLlm.Tool.JsonLines;

/// <summary>A line's bytes → a JSON object, or a JSON text where those are taken, or one error that says what is wrong with them.</summary>
internal static class JsonLineParser
{
    // Real requests nest some ten levels (JSON Schemas of tools); whoever reads the elements recurses.
    private static readonly JsonDocumentOptions Options = new() { MaxDepth = 200 };

    /// <summary>Parses <paramref name="line"/>; the caller disposes the document.</summary>
    /// <param name="line">The line.</param>
    /// <param name="takesText">Whether it may be a text, too.</param>
    /// <exception cref="EngineException">Kind InvalidRequest: no JSON object.</exception>
    public static JsonDocument Parse(JsonLine line, bool takesText = false)
    {
        var expected = takesText ? "a JSON object or a JSON string was expected" : "a JSON object was expected";
        if (line.Problem is not null)
            throw Bad(line, line.Problem);
        if (line.Utf8.Span.IndexOfAnyExcept(" \t\r"u8) < 0)
            throw Bad(line, "is blank; " + expected);
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
