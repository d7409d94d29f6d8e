using System.Buffers;
using System.Text.Json;

namespace LocalLlm.Tool.JsonLines;

/// <summary>One finished line of output.</summary>
/// <param name="Utf8">Its bytes, line feed included.</param>
/// <param name="Failed">Whether it holds an error.</param>
/// <param name="Tokens">Tokens generated for it.</param>
internal readonly record struct LineResult(ReadOnlyMemory<byte> Utf8, bool Failed, long Tokens = 0)
{
    private static readonly JsonWriterOptions Options = new() { Encoder = LineEncoder.Instance, SkipValidation = true };

    /// <summary>A JSON object whose members <paramref name="write"/> writes.</summary>
    public static LineResult Object(Action<Utf8JsonWriter> write, bool failed = false, long tokens = 0)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var writer = new Utf8JsonWriter(buffer, Options))
        {
            writer.WriteStartObject();
            write(writer);
            writer.WriteEndObject();
        }

        buffer.Write("\n"u8);
        return new(buffer.WrittenMemory, failed, tokens);
    }

    /// <summary><c>{"error": {"message", "type", "param"}}</c>.</summary>
    /// <param name="failure">The error; its kind becomes the type, in snake_case.</param>
    /// <param name="requestId">The request's own id, or null.</param>
    public static LineResult Error(EngineException failure, string? requestId = null) => Error(failure, writer =>
    {
        if (requestId is not null)
            writer.WriteString("request_id", requestId);
    });

    /// <inheritdoc cref="Error(EngineException, string?)"/>
    /// <param name="failure">The error; its kind becomes the type, in snake_case.</param>
    /// <param name="first">Writes the members before <c>error</c>.</param>
    public static LineResult Error(EngineException failure, Action<Utf8JsonWriter> first) => Object(
        writer =>
        {
            first(writer);
            writer.WriteStartObject("error");
            writer.WriteString("message", failure.Message);
            writer.WriteString("type", JsonNamingPolicy.SnakeCaseLower.ConvertName(failure.Kind.ToString()));
            writer.WriteString("param", failure.Parameter);
            writer.WriteEndObject();
        },
        failed: true);
}
