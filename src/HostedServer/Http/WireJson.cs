using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;
using LocalLlm.Server.OpenAI;

namespace LocalLlm.Server.Http;

/// <summary>
/// Serializes everything that the server sends: OpenAI's names; null members are omitted unless OpenAI's schema requires them.
/// </summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(ErrorBody))]
[JsonSerializable(typeof(ChatCompletion))]
[JsonSerializable(typeof(ChatCompletionChunk))]
[JsonSerializable(typeof(TextCompletion))]
[JsonSerializable(typeof(EmbeddingList))]
[JsonSerializable(typeof(RerankResponse))]
[JsonSerializable(typeof(ScoreList))]
[JsonSerializable(typeof(ModelList))]
[JsonSerializable(typeof(ModelCard))]
[JsonSerializable(typeof(TokenizeResult))]
[JsonSerializable(typeof(DetokenizeResult))]
[JsonSerializable(typeof(VersionResult))]
[JsonSerializable(typeof(ReadyResult))]
[JsonSerializable(typeof(LoadResult))]
[JsonSerializable(typeof(EngineView))]
internal sealed partial class WireJson : JsonSerializerContext
{
    /// <summary>Does not escape letters: responses are JSON, never part of a page.</summary>
    public static WireJson Wire { get; } = new(new JsonSerializerOptions
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    });
}

/// <summary>The body of an error.</summary>
internal sealed record ErrorBody(ErrorContent Error);

/// <summary>OpenAI's error object: all four members are always present.</summary>
internal sealed record ErrorContent(
    string Message,
    string Type,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.Never)] string? Param,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.Never)] string? Code);
