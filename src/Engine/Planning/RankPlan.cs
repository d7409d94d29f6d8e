namespace LocalLlm.Planning;

/// <summary>One device's share of a model. All sizes are estimates in bytes.</summary>
public sealed record RankPlan
{
    /// <summary>The rank over all hosts, from 0.</summary>
    public required int Rank { get; init; }

    /// <summary>The host, from 0.</summary>
    public required int Node { get; init; }

    /// <summary>The rank on its host, from 0.</summary>
    public required int LocalIndex { get; init; }

    /// <summary>Its rank in the tensor-parallel group of its stage.</summary>
    public required int TensorRank { get; init; }

    /// <summary>Its pipeline stage.</summary>
    public required int Stage { get; init; }

    /// <summary>Its data-parallel group.</summary>
    public int Group { get; init; }

    /// <summary>The device.</summary>
    public required string Card { get; init; }

    /// <summary>Its first layer.</summary>
    public required int FirstLayer { get; init; }

    /// <summary>Number of its layers.</summary>
    public required int NumLayers { get; init; }

    /// <summary>Its first query head.</summary>
    public required int FirstHead { get; init; }

    /// <summary>Number of its query heads.</summary>
    public required int NumHeads { get; init; }

    /// <summary>Its first key and value head.</summary>
    public required int FirstKvHead { get; init; }

    /// <summary>Number of its key and value heads; 0: it keeps latent vectors, the same on all ranks of its group.</summary>
    public required int NumKvHeads { get; init; }

    /// <summary>The device's memory.</summary>
    public required long MemoryBytes { get; init; }

    /// <summary>The part of it that may be used.</summary>
    public required long BudgetBytes { get; init; }

    /// <summary>Weights.</summary>
    public required long WeightBytes { get; init; }

    /// <summary>Activations and logits of the largest step; on a GPU also what the driver and libraries take.</summary>
    public required long ActivationBytes { get; init; }

    /// <summary>Recorded steps.</summary>
    public required long GraphBytes { get; init; }

    /// <summary>KV cache of one token on this rank; heads that several ranks hold count on each of them.</summary>
    public required long KvBytesPerToken { get; init; }

    /// <summary>What is left for the KV cache; negative if the rest alone is too large.</summary>
    public required long FreeBytes { get; init; }

    /// <summary>Tokens that this rank's memory could hold.</summary>
    public required long KvCacheTokens { get; init; }
}
