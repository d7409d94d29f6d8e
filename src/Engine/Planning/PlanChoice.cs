namespace LocalLlm.Planning;

/// <summary>A plan that fits, offered in place of another.</summary>
public sealed record PlanChoice
{
    /// <summary>Ranks that every layer is split over.</summary>
    public required int TensorParallel { get; init; }

    /// <summary>Stages that the layers are split over.</summary>
    public required int PipelineParallel { get; init; }

    /// <summary>Number of hosts.</summary>
    public required int Nodes { get; init; }

    /// <summary>Layers of each stage.</summary>
    public required IReadOnlyList<int> LayersPerStage { get; init; }

    /// <summary>Whether it fits only with additional options in <see cref="CommandLine"/>.</summary>
    public required bool IsTight { get; init; }

    /// <summary>Max bytes of weights on one device.</summary>
    public required long MaxWeightBytes { get; init; }

    /// <summary>Tokens that the KV cache holds.</summary>
    public required long KvCacheTokens { get; init; }

    /// <summary>The command line for every host.</summary>
    public required string CommandLine { get; init; }

    /// <summary>Number of devices.</summary>
    public int Devices => TensorParallel * PipelineParallel;
}
