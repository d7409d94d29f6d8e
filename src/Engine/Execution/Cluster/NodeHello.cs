using System.Text.Json.Serialization;

namespace LocalLlm.Execution.Cluster;

/// <summary>Who joins, and what must be the same on all nodes. Plain data.</summary>
internal sealed record NodeHello
{
    /// <summary>Version of the engine.</summary>
    [JsonRequired]
    public string Version { get; init; } = "";

    /// <summary><see cref="Wire.StepFormat.Version"/>.</summary>
    [JsonRequired]
    public int StepFormat { get; init; }

    /// <summary>Which node (or, of one process for each rank, which rank), from 0.</summary>
    [JsonRequired]
    public int Node { get; init; }

    /// <summary>The host's name, for messages.</summary>
    [JsonRequired]
    public string Host { get; init; } = "";

    /// <summary>The process, for messages.</summary>
    [JsonRequired]
    public int ProcessId { get; init; }

    /// <summary>What tells the GPUs of its ranks from all others; empty on CPUs.</summary>
    [JsonRequired]
    public IReadOnlyList<string> Cards { get; init; } = [];

    /// <summary>SHA-256 of config.json and of the weights' headers, by file name.</summary>
    [JsonRequired]
    public SortedDictionary<string, string> Files { get; init; } = [];

    /// <summary>The options that must agree, by vLLM's names.</summary>
    [JsonRequired]
    public SortedDictionary<string, string> Options { get; init; } = [];
}

/// <summary>Why a node is not taken, or why the replica has failed. Plain data.</summary>
/// <param name="Reason">In words, for the operator.</param>
/// <param name="Kind">Whom it blames.</param>
internal sealed record NodeEnd(string Reason, EngineErrorKind Kind);

/// <summary>A value that one rank has created for others. Plain data.</summary>
/// <param name="Key">What it is for.</param>
/// <param name="Value">Its bytes.</param>
internal sealed record SharedValue(string Key, byte[] Value);

/// <summary>
/// The generated serializers of what nodes tell each other beside steps. An unknown field is an error: all are the same build.
/// </summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower,
    IgnoreReadOnlyProperties = true,
    RespectNullableAnnotations = true,
    RespectRequiredConstructorParameters = true,
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
    UseStringEnumConverter = true)]
[JsonSerializable(typeof(NodeHello))]
[JsonSerializable(typeof(NodeEnd))]
[JsonSerializable(typeof(SharedValue))]
[JsonSerializable(typeof(MemoryPlan))]
internal sealed partial class NodeJsonContext : JsonSerializerContext;
