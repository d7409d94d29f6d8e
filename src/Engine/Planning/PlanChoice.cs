namespace LocalLlm.Planning;

/// <summary>A plan that fits, offered in the place of another.</summary>
public sealed record PlanChoice
{
    /// <summary>Ranks that every layer is split over.</summary>
    public required int TensorParallel { get; init; }

    /// <summary>Stages that the layers are split over.</summary>
    public required int PipelineParallel { get; init; }

    /// <summary>Hosts.</summary>
    public required int Nodes { get; init; }

    /// <summary>Layers of each stage.</summary>
    public required IReadOnlyList<int> LayersPerStage { get; init; }

    /// <summary>Whether it fits only with the further options of <see cref="CommandLine"/>.</summary>
    public required bool IsTight { get; init; }

    /// <summary>The most that one device holds of weights, in bytes.</summary>
    public required long MaxWeightBytes { get; init; }

    /// <summary>Tokens that the KV cache holds.</summary>
    public required long KvCacheTokens { get; init; }

    /// <summary>What to type on every host.</summary>
    public required string CommandLine { get; init; }

    /// <summary>Number of devices.</summary>
    public int Devices => TensorParallel * PipelineParallel;
}
