using Microsoft.Extensions.AI;

namespace LocalLlm.Extensions.AI;

/// <summary>From a response format to what the engine holds a response to.</summary>
public static class ChatResponseFormatExtensions
{
    /// <summary>The structure that the format asks for; null: any text. A schema of .NET types is held to all that System.Text.Json
    /// asks of it.</summary>
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
