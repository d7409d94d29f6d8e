namespace LocalLlm.Parallel;

/// <summary>One rank's place, and its connections to its peers, which it owns.</summary>
/// <param name="Plan">How the model is spread.</param>
/// <param name="Rank">This rank.</param>
/// <param name="Device">The name of the rank's device.</param>
/// <param name="Tensor">The rank's tensor-parallel group.</param>
internal sealed record RankContext(ParallelPlan Plan, int Rank, string Device, ICollectives Tensor) : IDisposable
{
    /// <summary>The context of an only rank.</summary>
    /// <param name="device">The rank's device.</param>
    public static RankContext Single(string device) => new(ParallelPlan.Single, 0, device, new SingleRankCollectives());

    /// <summary>The rank's place.</summary>
    public RankPlace Place { get; } = Plan.PlaceOf(Rank);

    /// <summary>All ranks of the stage, group by group, over which experts are spread; null: those of <see cref="Tensor"/>.</summary>
    public ICollectives? Experts { get; init; }

    /// <summary>The ranks with this tensor rank in all data-parallel groups of the stage, by group; null: only one group.</summary>
    public ICollectives? Peers { get; init; }

    /// <summary>Receives from the previous stage; null: this is the first stage.</summary>
    public IPipelineLink? Previous { get; init; }

    /// <summary>Sends to the next stage; null: this is the last stage.</summary>
    public IPipelineLink? Next { get; init; }

    /// <summary>
    /// On the first and the last of several stages: brings the ids that the last stage samples to the first, so that a step may begin
    /// before the host knows them. Null: the host brings them with the step.
    /// </summary>
    public IPipelineLink? SampledIds { get; init; }

    /// <summary>Agrees with the other ranks on the size of the KV cache; null: this is the only rank.</summary>
    public IMemoryAgreement? Memory { get; init; }

    /// <summary>CPU threads for this rank; 0: one for each core.</summary>
    public int NumThreads { get; init; }

    /// <summary>
    /// Number of ranks that divide the memory of this rank's device, including this one: ranks of this process and, on a CPU, of other
    /// processes with one rank each.
    /// </summary>
    public int RanksOnDevice { get; init; } = 1;

    /// <summary>Whether steps may be recorded. True if all connections between ranks of this process can be recorded.</summary>
    public bool RecordsSteps { get; init; } = true;

    /// <summary>Whether this process only plans the rank and another one loads it: the device then stays closed if possible.</summary>
    public bool IsPlanned { get; init; }

    /// <summary>Ends every wait for a peer.</summary>
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
