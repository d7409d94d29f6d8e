namespace LocalLlm.Planning;

/// <summary>What every rank of one stage holds, in bytes.</summary>
/// <param name="FirstLayer">Its first layer.</param>
/// <param name="Layers">Number of its layers.</param>
/// <param name="Card">The device of each of its ranks.</param>
internal sealed record StageEstimate(int FirstLayer, int Layers, GpuCard Card)
{
    /// <summary>The part of the device's memory that may be used.</summary>
    public required long BudgetBytes { get; init; }

    /// <summary>Weights.</summary>
    public required long WeightBytes { get; init; }

    /// <summary>Activations and logits of the largest step, and what the driver and libraries take.</summary>
    public required long ActivationBytes { get; init; }

    /// <summary>Recorded steps.</summary>
    public required long GraphBytes { get; init; }

    /// <summary>KV cache of one token.</summary>
    public required long KvBytesPerToken { get; init; }

    /// <summary>Tokens that its KV cache could hold; the stage with the fewest decides for all stages.</summary>
    public required long KvTokens { get; init; }

    /// <summary>Weights that a step of one token reads.</summary>
    public required long ReadBytes { get; init; }

    /// <summary>Whether the user asked for a size of the KV cache, so that the limit is the device's memory and not the share.</summary>
    public required bool GivesCache { get; init; }

    /// <summary>The limit for weights, activations and KV cache together.</summary>
    public long RoomBytes => GivesCache ? Card.MemoryBytes : BudgetBytes;

    /// <summary>What is left for the KV cache; negative if not even the weights fit.</summary>
    public long FreeBytes => RoomBytes - WeightBytes - ActivationBytes - GraphBytes;
}
