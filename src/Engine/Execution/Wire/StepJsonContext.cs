using System.Text.Json.Serialization;

namespace LocalLlm.Execution.Wire;

/// <summary>The generated serializers of <see cref="StepFormat"/>. An unknown field is an error: both sides are the same build.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower,
    IgnoreReadOnlyProperties = true,
    RespectNullableAnnotations = true,
    RespectRequiredConstructorParameters = true,
    NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals,
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
    UseStringEnumConverter = true,
    Converters = [typeof(ResponseGrammarConverter)])]
[JsonSerializable(typeof(SchedulerOutput))]
[JsonSerializable(typeof(StepResult))]
[JsonSerializable(typeof(ExecutorCapabilities))]
internal sealed partial class StepJsonContext : JsonSerializerContext;
