using System.Buffers;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace LocalLlm.Templating;

/// <summary>
/// Describes the structure of the response to the model. The token mask alone does not: the model would think, and begin to write, without
/// knowing the structure. Of seven wordings that were compared, this one left the shipped model's thoughts and calls unchanged.
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

    // Removes the original's white space; a schema may be nested deeper than the serializer allows.
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
