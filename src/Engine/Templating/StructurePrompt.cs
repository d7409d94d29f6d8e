using System.Buffers;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace LocalLlm.Templating;

/// <summary>
/// Tells a model which structure its response is held to. The token mask alone does not: the model would think, and begin to write, without
/// knowing it.
/// The words are those that kept the shipped model's thoughts and calls as they were, of seven that were compared.
/// </summary>
internal static class StructurePrompt
{
    private static readonly JsonSerializerOptions Readable = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>The text for the end of the system message.</summary>
    /// <param name="structure">The structure.</param>
    /// <param name="hasTools">Whether the model may call tools instead.</param>
    public static string Write(StructuredOutputs structure, bool hasTools)
    {
        var answer = hasTools ? "The final answer is" : "The answer is";
        var what = structure switch
        {
            { Json: { } schema } => $"one JSON value that conforms to {Named(structure)}:\n{Compact(structure.DescribedJson ?? schema)}",
            { JsonObject: true } => "one JSON object.",
            { Choice: { } choice } => $"exactly one of these texts, given as JSON strings:\n{JsonSerializer.Serialize(choice, Readable)}",
            { Regex: { } regex } => $"a text that this regular expression matches as a whole:\n{regex}",
            _ => $"a text of the rule root of this grammar:\n{structure.Grammar}",
        };
        return $"\n\n{answer} {what}";
    }

    // Without the white space of the original; a schema may be nested deeper than the serializer goes.
    private static string Compact(JsonElement schema)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var writer = new Utf8JsonWriter(buffer, new() { Encoder = Readable.Encoder, MaxDepth = int.MaxValue }))
            schema.WriteTo(writer);
        return Encoding.UTF8.GetString(buffer.WrittenSpan);
    }

    private static string Named(StructuredOutputs structure) => structure switch
    {
        { SchemaName: { Length: > 0 } name, SchemaDescription: { Length: > 0 } description } => $"this JSON schema, {name} ({description})",
        { SchemaName: { Length: > 0 } name } => $"this JSON schema, {name}",
        { SchemaDescription: { Length: > 0 } description } => $"this JSON schema ({description})",
        _ => "this JSON schema",
    };
}
