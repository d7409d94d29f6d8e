using System.Text.Json.Serialization;

namespace LocalLlm.Grammars;

/// <summary>The JSON of <see cref="GrammarSource"/>, without reflection over types.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower,
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
    RespectNullableAnnotations = true,
    RespectRequiredConstructorParameters = true)]
[JsonSerializable(typeof(GrammarSource))]
internal sealed partial class GrammarSourceJson : JsonSerializerContext;
