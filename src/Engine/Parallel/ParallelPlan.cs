namespace LocalLlm.Parallel;

/// <summary>Where one rank is.</summary>
/// <param name="Rank">Over all ranks: (stage · data-parallel size + group) · tensor-parallel size + tensor rank.</param>
/// <param name="Node">Which host, from 0.</param>
/// <param name="LocalIndex">Which rank of its host, from 0.</param>
/// <param name="TensorRank">Its rank in its tensor-parallel group.</param>
/// <param name="Stage">Its pipeline stage.</param>
/// <param name="Group">Its data-parallel group.</param>
internal sealed record RankPlace(int Rank, int Node, int LocalIndex, int TensorRank, int Stage, int Group);

/// <summary>
/// How a model is spread over devices: every layer split over the ranks of a group, the layers split over stages, and each stage held by
/// several data-parallel groups, which share its experts. Pure.
/// </summary>
/// <param name="TensorParallel">Ranks that every layer is split over.</param>
/// <param name="PipelineParallel">Stages that the layers are split over.</param>
/// <param name="Nodes">Hosts; the ranks are spread over them evenly, in order.</param>
internal sealed record ParallelPlan(int TensorParallel, int PipelineParallel, int Nodes)
{
    /// <summary>One device.</summary>
    public static ParallelPlan Single { get; } = new(1, 1, 1);

    /// <summary>Groups that compute attention for sequences of their own, each with all weights but routed experts.</summary>
    public int DataParallel { get; init; } = 1;

    /// <summary>Layers of each stage, as given or as they balance; null: as even as can be, the first stages taking one more.</summary>
    public IReadOnlyList<int>? LayersPerStage { get; init; }

    /// <summary>Number of ranks.</summary>
    public int WorldSize => RanksPerStage * PipelineParallel;

    /// <summary>Ranks of one stage: those that its experts are spread over.</summary>
    public int RanksPerStage => TensorParallel * DataParallel;

    /// <summary>Ranks of one host.</summary>
    public int RanksPerNode => WorldSize / Nodes;

    /// <summary>All ranks, in order.</summary>
    public IReadOnlyList<RankPlace> Ranks => [.. Enumerable.Range(0, WorldSize).Select(PlaceOf)];

    /// <summary>
    /// The rank that chooses tokens and answers for a step: the first of the last stage. Further groups have one of their own.
    /// </summary>
    public int SamplingRank => SamplingRankOf(0);

    /// <summary>The rank that chooses the tokens of a group's sequences: its first of the last stage.</summary>
    public int SamplingRankOf(int group) => WorldSize - RanksPerStage + (group * TensorParallel);

    /// <summary>The plan that a request asks for, checked.</summary>
    /// <param name="request">What was asked for.</param>
    /// <param name="shape">The model; null: not known yet, so that only the request itself is checked.</param>
    /// <exception cref="EngineException">Kind InvalidOptions, listing every fault; Parameter is the first one's option.</exception>
    public static ParallelPlan Create(ParallelRequest request, SplitShape? shape)
    {
        IReadOnlyList<ParallelFault> faults = shape is null ? [.. ParallelRules.FaultsOf(request)] : ParallelRules.FaultsOf(request, shape);
        if (faults.Count > 0)
            throw new EngineException(EngineErrorKind.InvalidOptions, string.Join("; ", faults) + ".", faults[0].Option);
        return new(request.TensorParallel, request.PipelineParallel, request.Nodes) { DataParallel = request.DataParallel, LayersPerStage = request.LayersPerStage };
    }

    /// <summary>Where a rank is.</summary>
    public RankPlace PlaceOf(int rank) => new(
        rank, rank / RanksPerNode, rank % RanksPerNode, rank % TensorParallel, rank / RanksPerStage, rank % RanksPerStage / TensorParallel);

    /// <summary>The layers of a stage.</summary>
    /// <param name="stage">Which, from 0.</param>
    /// <param name="numLayers">Layers of the model.</param>
    public PipelineStage StageOf(int stage, int numLayers)
    {
        if (LayersPerStage is { } given)
            return new(stage, PipelineParallel, given.Take(stage).Sum(), given[stage]);
        var (each, rest) = Math.DivRem(numLayers, PipelineParallel);
        return new(stage, PipelineParallel, (stage * each) + Math.Min(stage, rest), each + (stage < rest ? 1 : 0));
    }
}
