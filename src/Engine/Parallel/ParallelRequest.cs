namespace LocalLlm.Parallel;

/// <summary>How a model should be spread, as requested; not checked yet.</summary>
/// <param name="TensorParallel">Number of ranks that every layer is split over.</param>
/// <param name="PipelineParallel">Number of stages that the layers are split over.</param>
/// <param name="Nodes">Number of hosts.</param>
internal sealed record ParallelRequest(int TensorParallel, int PipelineParallel, int Nodes)
{
    /// <summary>Number of groups that compute attention for sequences of their own and share the experts of a stage.</summary>
    public int DataParallel { get; init; } = 1;

    /// <summary>Layers of each stage; null: the plan chooses.</summary>
    public IReadOnlyList<int>? LayersPerStage { get; init; }

    /// <summary>Whether ranks hold whole experts instead of a part of every expert.</summary>
    public bool ExpertParallel { get; init; }

    /// <summary>How experts are balanced; null: they are not.</summary>
    public ExpertBalancingOptions? Balancing { get; init; }

    /// <summary>Whether the model's own layer drafts tokens.</summary>
    public bool Predicts { get; init; }

    /// <summary>Whether a request's bits must not depend on what runs beside it.</summary>
    public bool IsBatchInvariant { get; init; }

    /// <summary>Whether each rank has a process of its own.</summary>
    public bool UsesProcesses { get; init; }

    /// <summary>Number of ranks; sizes may be impossible.</summary>
    public long WorldSize => (long)TensorParallel * PipelineParallel * DataParallel;

    /// <summary>Devices of this host by name, one for each of its ranks; null: as many as needed.</summary>
    public IReadOnlyList<string>? Devices { get; init; }

    /// <summary>Number of devices of one host; null: unknown, or no limit.</summary>
    public int? DevicesPerNode { get; init; }

    /// <summary>Creates the request from an engine's options.</summary>
    /// <param name="options">Any options.</param>
    /// <param name="devicesPerNode">Number of devices of one host; null: unknown, or no limit.</param>
    public static ParallelRequest Of(EngineOptions options, int? devicesPerNode) =>
        new(options.TensorParallel, options.PipelineParallel, options.Nodes)
        {
            DataParallel = options.DataParallel, LayersPerStage = options.PipelineLayers, ExpertParallel = options.EnableExpertParallel,
            Balancing = options.ExpertBalancing, Predicts = options.Speculation is { Method: SpeculationOptions.Mtp }, UsesProcesses = options.UsesProcesses,
            IsBatchInvariant = options.BatchInvariant, Devices = options.Devices, DevicesPerNode = devicesPerNode,
        };
}

/// <summary>One fault of a <see cref="ParallelRequest"/>.</summary>
/// <param name="Option">The option to blame, under its vLLM name.</param>
/// <param name="Message">What was found and what is allowed, as the rest of a sentence that begins with the option's name.</param>
internal readonly record struct ParallelFault(string Option, string Message)
{
    /// <summary>What begins the sentence instead of the option's name; null: the name.</summary>
    public string? Subject { get; init; }

    /// <inheritdoc/>
    public override string ToString() => $"{Subject ?? Option} {Message}";
}
