namespace LocalLlm.Parallel;

/// <summary>What one rank knows of its place and its peers. Owns the connections.</summary>
/// <param name="Plan">How the model is spread.</param>
/// <param name="Rank">This rank.</param>
/// <param name="Device">The name of its device.</param>
/// <param name="Tensor">The tensor-parallel group of its stage.</param>
internal sealed record RankContext(ParallelPlan Plan, int Rank, string Device, ICollectives Tensor) : IDisposable
{
    /// <summary>The only rank.</summary>
    /// <param name="device">Its device.</param>
    public static RankContext Single(string device) => new(ParallelPlan.Single, 0, device, new SingleRankCollectives());

    /// <summary>Where it is.</summary>
    public RankPlace Place { get; } = Plan.PlaceOf(Rank);

    /// <summary>All ranks of the stage, group by group, which experts are spread over; null: those of <see cref="Tensor"/>.</summary>
    public ICollectives? Experts { get; init; }

    /// <summary>The ranks with this tensor rank in all data-parallel groups of the stage, by group; null: there is one group.</summary>
    public ICollectives? Peers { get; init; }

    /// <summary>The stage before, which sends; null: this is the first.</summary>
    public IPipelineLink? Previous { get; init; }

    /// <summary>The stage after, which receives; null: this is the last.</summary>
    public IPipelineLink? Next { get; init; }

    /// <summary>
    /// The first and the last of several stages: brings the ids that the last one samples to the first, so that a step may begin before the
    /// host knows them; null: the host brings them with the step.
    /// </summary>
    public IPipelineLink? SampledIds { get; init; }

    /// <summary>How the KV cache is sized with the other ranks; null: this is the only one.</summary>
    public IMemoryAgreement? Memory { get; init; }

    /// <summary>CPU threads for this rank; 0: as many as there are cores.</summary>
    public int NumThreads { get; init; }

    /// <summary>
    /// Ranks that divide the memory of its device, this one included: of this process, and on a CPU of the other processes that have a rank
    /// each.
    /// </summary>
    public int RanksOnDevice { get; init; } = 1;

    /// <summary>Whether steps may be recorded: what connects the ranks of this process can be, on all of them.</summary>
    public bool RecordsSteps { get; init; } = true;

    /// <summary>Whether this process only plans the rank, which another one loads: its device is not opened where that can be.</summary>
    public bool IsPlanned { get; init; }

    /// <summary>Ends everything that waits for a peer.</summary>
    public void Abort(Exception reason)
    {
        Tensor.Abort(reason);
        Experts?.Abort(reason);
        Peers?.Abort(reason);
        Previous?.Abort(reason);
        Next?.Abort(reason);
        SampledIds?.Abort(reason);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Previous?.Dispose();
        Next?.Dispose();
        SampledIds?.Dispose();
        Tensor.Dispose();
        Experts?.Dispose();
        Peers?.Dispose();
    }
}
