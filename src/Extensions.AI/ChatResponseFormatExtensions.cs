using Microsoft.Extensions.AI;

namespace LocalLlm.Extensions.AI;

/// <summary>Converts a response format to the engine's structured output.</summary>
public static class ChatResponseFormatExtensions
{
    /// <summary>
    /// Returns the structure that the format asks for; null: any text. The schema of a .NET type is tightened to what System.Text.Json can
    /// read.
    /// </summary>
    /// <exception cref="ArgumentNullException"><paramref name="format"/> is null.</exception>
    public static StructuredOutputs? ToStructuredOutputs(this ChatResponseFormat format)
    {
        ArgumentNullException.ThrowIfNull(format);
        return format switch
        {
            ChatResponseFormatJson { Schema: { } schema } json => new()
            {
                Json = ResponseTypes.SchemaOf(json),
                DescribedJson = schema,
                SchemaName = json.SchemaName,
                SchemaDescription = json.SchemaDescription,
                TypeFirst = true,
            },
            ChatResponseFormatJson => new() { JsonObject = true },
            _ => null,
        };
    }
}
