namespace LocalLlm.Planning;

/// <summary>A request for a plan.</summary>
public sealed record ModelPlanRequest
{
    /// <summary>The model and how it would be loaded. Its folder needs only config.json.</summary>
    public required EngineOptions Options { get; init; }

    /// <summary>The devices: one kind for all stages, or one for each pipeline stage; empty: this machine's.</summary>
    public IReadOnlyList<GpuCard> Cards { get; init; } = [];

    /// <summary>Devices per host; null: as many as the plan needs, and at most 8 if the plan is chosen.</summary>
    public int? DevicesPerNode { get; init; }

    /// <summary>
    /// Whether to choose the plan that fits the model on as few of the devices as possible. The sizes in <see cref="Options"/> are then
    /// ignored.
    /// </summary>
    public bool ChoosesPlan { get; init; }

    /// <summary>The model's name.</summary>
    internal string Name { get; init; } = "";
}
