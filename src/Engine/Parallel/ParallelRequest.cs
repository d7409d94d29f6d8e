namespace LocalLlm.Parallel;

/// <summary>How a model is to be spread, as it was asked for; nothing of it is checked yet.</summary>
/// <param name="TensorParallel">Ranks that every layer is split over.</param>
/// <param name="PipelineParallel">Stages that the layers are split over.</param>
/// <param name="Nodes">Hosts.</param>
internal sealed record ParallelRequest(int TensorParallel, int PipelineParallel, int Nodes)
{
    /// <summary>Groups that compute attention for sequences of their own and share the experts of a stage.</summary>
    public int DataParallel { get; init; } = 1;

    /// <summary>Layers of each stage; null: as the plan chooses.</summary>
    public IReadOnlyList<int>? LayersPerStage { get; init; }

    /// <summary>Whether the ranks of a group hold whole experts instead of a part of every expert.</summary>
    public bool ExpertParallel { get; init; }

    /// <summary>How experts are balanced; null: not at all.</summary>
    public ExpertBalancingOptions? Balancing { get; init; }

    /// <summary>Whether the model's own layer drafts tokens.</summary>
    public bool Predicts { get; init; }

    /// <summary>Whether a request's bits must not depend on what runs beside it.</summary>
    public bool IsBatchInvariant { get; init; }

    /// <summary>Whether each rank has a process of its own.</summary>
    public bool UsesProcesses { get; init; }

    /// <summary>Number of ranks; sizes may be impossible.</summary>
    public long WorldSize => (long)TensorParallel * PipelineParallel * DataParallel;

    /// <summary>Devices of this host by name, one for each of its ranks; null: as many as are needed.</summary>
    public IReadOnlyList<string>? Devices { get; init; }

    /// <summary>Devices that one host has; null: not known, or no limit.</summary>
    public int? DevicesPerNode { get; init; }

    /// <summary>As the options of an engine say.</summary>
    /// <param name="options">Any options.</param>
    /// <param name="devicesPerNode">Devices that one host has; null: not known, or no limit.</param>
    public static ParallelRequest Of(EngineOptions options, int? devicesPerNode) =>
        new(options.TensorParallel, options.PipelineParallel, options.Nodes)
        {
            DataParallel = options.DataParallel, LayersPerStage = options.PipelineLayers, ExpertParallel = options.EnableExpertParallel,
            Balancing = options.ExpertBalancing, Predicts = options.Speculation is { Method: SpeculationOptions.Mtp }, UsesProcesses = options.UsesProcesses,
            IsBatchInvariant = options.BatchInvariant, Devices = options.Devices, DevicesPerNode = devicesPerNode,
        };
}

/// <summary>One thing that is wrong with a <see cref="ParallelRequest"/>.</summary>
/// <param name="Option">The option to blame, under its vLLM name.</param>
/// <param name="Message">What was found and what is allowed, to follow the option's name.</param>
internal readonly record struct ParallelFault(string Option, string Message)
{
    /// <summary>What the message follows instead of the option's name; null: the name.</summary>
    public string? Subject { get; init; }

    /// <inheritdoc/>
    public override string ToString() => $"{Subject ?? Option} {Message}";
}
