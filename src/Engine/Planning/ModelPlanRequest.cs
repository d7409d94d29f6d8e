namespace LocalLlm.Planning;

/// <summary>What is to be planned.</summary>
public sealed record ModelPlanRequest
{
    /// <summary>The model, and how it would be loaded. Its folder needs config.json alone.</summary>
    public required EngineOptions Options { get; init; }

    /// <summary>The devices: one kind, or one for each pipeline stage; empty: this machine's.</summary>
    public IReadOnlyList<GpuCard> Cards { get; init; } = [];

    /// <summary>Devices that each host has; null: as many as the plan needs, where it is chosen up to 8.</summary>
    public int? DevicesPerNode { get; init; }

    /// <summary>
    /// Whether the plan is chosen, with as few of the devices as fit the model: the sizes of <see cref="Options"/> are ignored.
    /// </summary>
    public bool ChoosesPlan { get; init; }

    /// <summary>The model's name.</summary>
    internal string Name { get; init; } = "";
}
