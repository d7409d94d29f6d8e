using System.Text.Json;
using System.Text.Json.Serialization;
using LocalLlm.Grammars;
using LocalLlm.Sampling;

namespace LocalLlm.Execution.Wire;

/// <summary>
/// A grammar's source in the library's own JSON, and the field that asked for it. Schemas travel as their text: one may be nested deeper
/// than a serializer goes, and the order of its properties means something.
/// </summary>
internal sealed class ResponseGrammarConverter : JsonConverter<ResponseGrammar>
{
    private const string Field = "field";
    private const string Source = "source";

    /// <inheritdoc/>
    public override ResponseGrammar Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
    {
        using var document = JsonDocument.ParseValue(ref reader);
        var root = document.RootElement;
        if (root.ValueKind != JsonValueKind.Object || !root.TryGetProperty(Field, out var field) || field.ValueKind != JsonValueKind.String
            || !root.TryGetProperty(Source, out var source))
            throw new JsonException($"a grammar is an object with {Field} and {Source}");
        try
        {
            return new(GrammarSource.FromJson(source.GetRawText()), field.GetString()!);
        }
        catch (GrammarException malformed)
        {
            throw new JsonException(malformed.Message, malformed);
        }
    }

    /// <inheritdoc/>
    public override void Write(Utf8JsonWriter writer, ResponseGrammar value, JsonSerializerOptions options)
    {
        writer.WriteStartObject();
        writer.WriteString(Field, value.Field);
        writer.WritePropertyName(Source);
        writer.WriteRawValue(value.Source.ToJson());
        writer.WriteEndObject();
    }
}
