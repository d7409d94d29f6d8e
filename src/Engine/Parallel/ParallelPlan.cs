namespace LocalLlm.Parallel;

/// <summary>The place of one rank.</summary>
/// <param name="Rank">Index over all ranks: (stage · data-parallel size + group) · tensor-parallel size + tensor rank.</param>
/// <param name="Node">Index of its host, from 0.</param>
/// <param name="LocalIndex">Index among its host's ranks, from 0.</param>
/// <param name="TensorRank">Its rank in its tensor-parallel group.</param>
/// <param name="Stage">Its pipeline stage.</param>
/// <param name="Group">Its data-parallel group.</param>
internal sealed record RankPlace(int Rank, int Node, int LocalIndex, int TensorRank, int Stage, int Group);

/// <summary>
/// How a model is spread over devices. Every layer is split over the ranks of a group, the layers are split over stages, and several
/// data-parallel groups may hold each stage and share its experts. Pure.
/// </summary>
/// <param name="TensorParallel">Number of ranks that every layer is split over.</param>
/// <param name="PipelineParallel">Number of stages that the layers are split over.</param>
/// <param name="Nodes">Number of hosts; the ranks are spread over them evenly, in order.</param>
internal sealed record ParallelPlan(int TensorParallel, int PipelineParallel, int Nodes)
{
    /// <summary>The plan for one device.</summary>
    public static ParallelPlan Single { get; } = new(1, 1, 1);

    /// <summary>Number of groups that compute attention for sequences of their own; each has all weights except routed experts.</summary>
    public int DataParallel { get; init; } = 1;

    /// <summary>Layers of each stage, given or balanced; null: as even as possible, with one more layer in the first stages.</summary>
    public IReadOnlyList<int>? LayersPerStage { get; init; }

    /// <summary>Number of ranks.</summary>
    public int WorldSize => RanksPerStage * PipelineParallel;

    /// <summary>Number of ranks of one stage, over which its experts are spread.</summary>
    public int RanksPerStage => TensorParallel * DataParallel;

    /// <summary>Number of ranks of one host.</summary>
    public int RanksPerNode => WorldSize / Nodes;

    /// <summary>All ranks, in order.</summary>
    public IReadOnlyList<RankPlace> Ranks => [.. Enumerable.Range(0, WorldSize).Select(PlaceOf)];

    /// <summary>
    /// The rank that chooses tokens and reports a step's result: the first rank of the last stage. Each further group has its own.
    /// </summary>
    public int SamplingRank => SamplingRankOf(0);

    /// <summary>The rank that chooses the tokens of a group's sequences: the group's first rank in the last stage.</summary>
    public int SamplingRankOf(int group) => WorldSize - RanksPerStage + (group * TensorParallel);

    /// <summary>Checks a request and creates its plan.</summary>
    /// <param name="request">The request.</param>
    /// <param name="shape">The model; null: not known yet, so only the request itself is checked.</param>
    /// <exception cref="EngineException">Kind InvalidOptions, listing every fault; Parameter is the first one's option.</exception>
    public static ParallelPlan Create(ParallelRequest request, SplitShape? shape)
    {
        IReadOnlyList<ParallelFault> faults = shape is null ? [.. ParallelRules.FaultsOf(request)] : ParallelRules.FaultsOf(request, shape);
        if (faults.Count > 0)
            throw new EngineException(EngineErrorKind.InvalidOptions, string.Join("; ", faults) + ".", faults[0].Option);
        return new(request.TensorParallel, request.PipelineParallel, request.Nodes) { DataParallel = request.DataParallel, LayersPerStage = request.LayersPerStage };
    }

    /// <summary>The place of a rank.</summary>
    public RankPlace PlaceOf(int rank) => new(
        rank, rank / RanksPerNode, rank % RanksPerNode, rank % TensorParallel, rank / RanksPerStage, rank % RanksPerStage / TensorParallel);

    /// <summary>The layers of a stage.</summary>
    /// <param name="stage">Index of the stage, from 0.</param>
    /// <param name="numLayers">Number of the model's layers.</param>
    public PipelineStage StageOf(int stage, int numLayers)
    {
        if (LayersPerStage is { } given)
            return new(stage, PipelineParallel, given.Take(stage).Sum(), given[stage]);
        var (each, rest) = Math.DivRem(numLayers, PipelineParallel);
        return new(stage, PipelineParallel, (stage * each) + Math.Min(stage, rest), each + (stage < rest ? 1 : 0));
    }
}
