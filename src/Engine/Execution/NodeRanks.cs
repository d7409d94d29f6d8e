using LocalLlm.Ops;
using LocalLlm.Ops.Cuda.Ranks;
using LocalLlm.Parallel;

namespace LocalLlm.Execution;

/// <summary>The ranks of one process: their devices and what connects them. Owned by those that take the contexts.</summary>
internal sealed class NodeRanks
{
    private readonly ThreadAgreement _agreement;

    private NodeRanks(IReadOnlyList<RankContext> ranks, ThreadAgreement agreement) => (Ranks, _agreement) = (ranks, agreement);

    /// <summary>In order; the first is this process's first rank.</summary>
    public IReadOnlyList<RankContext> Ranks { get; }

    /// <summary>Creates the contexts of a node's ranks.</summary>
    /// <param name="plan">How the model is spread.</param>
    /// <param name="node">Which node this is.</param>
    /// <param name="devices">A device for each of its ranks, in order.</param>
    /// <param name="numThreads">CPU threads of all of them together; 0: as many as this process has cores (<see cref="HostCores"/>).</param>
    /// <param name="peers">The other nodes; null: this is the only one.</param>
    /// <exception cref="EngineException">Kind InvalidOptions: the devices cannot work together.</exception>
    public static NodeRanks Create(ParallelPlan plan, int node, IReadOnlyList<string> devices, int numThreads, INodePeers? peers = null)
    {
        var places = plan.Ranks.Where(place => place.Node == node).ToList();
        var agreement = new ThreadAgreement(places.Count, peers);
        var gpus = GpuRanks.TryCreate(plan, node, devices);
        var groups = (gpus is null && plan.TensorParallel > 1 ? places : []).Select(place => place.Stage).Distinct().ToDictionary(stage => stage, _ => ThreadCollectives.Create(plan.TensorParallel));
        var links = new Dictionary<int, IPipelineLink>(); // by the rank that sends
        var cores = numThreads > 0 ? numThreads : HostCores.Count;
        var ranks = places.Select(place => new RankContext(plan, place.Rank, devices[place.LocalIndex], Collectives(place))
        {
            Previous = place.Stage == 0 ? null : LinkTo(place.Rank - plan.TensorParallel),
            Next = place.Stage == plan.PipelineParallel - 1 ? null : LinkFrom(place.Rank),
            RecordsSteps = gpus is null || places.TrueForAll(gpus.HasAllLinks),
            Memory = agreement,
            NumThreads = Math.Max(1, cores / places.Count),
            RanksOnDevice = devices.Take(places.Count).Count(device => device == devices[place.LocalIndex]),
        });
        return new([.. ranks], agreement);

        ICollectives Collectives(RankPlace place) => gpus is not null ? gpus.Tensor(place) :
            plan.TensorParallel == 1 ? new SingleRankCollectives() : groups[place.Stage][place.TensorRank];

        // The receiving end of the link on which a rank sends.
        IPipelineLink LinkTo(int rank) => gpus?.FindLink(rank)?.Receiver ?? LinkFrom(rank);

        IPipelineLink LinkFrom(int rank)
        {
            if (gpus?.FindLink(rank) is { } between)
                return between.Sender;
            if (!links.TryGetValue(rank, out var link))
            {
                var to = rank + plan.TensorParallel;
                link = plan.PlaceOf(rank).Node == node && plan.PlaceOf(to).Node == node ? new ThreadLink() : peers!.Link(rank, to);
                links.Add(rank, link);
            }

            return link;
        }
    }

    /// <summary>The devices of a node's ranks, as the options name them.</summary>
    /// <param name="options">A list of devices, or one name for all.</param>
    /// <param name="count">Number of ranks.</param>
    public static IReadOnlyList<string> DevicesOf(EngineOptions options, int count) =>
        options.Devices?.Select(device => DeviceRegistry.NameOf(device, 0)).ToList() ?? [.. Enumerable.Range(0, count).Select(index => DeviceRegistry.NameOf(options.Device, index))];

    /// <summary>Frees the connections of ranks that nobody has taken.</summary>
    public void DisposeFrom(int index)
    {
        foreach (var rank in Ranks.Skip(index))
            rank.Dispose();
    }

    /// <summary>Ends everything that waits on any of the ranks.</summary>
    public void Abort(Exception reason)
    {
        _agreement.Abort(reason);
        foreach (var rank in Ranks)
            rank.Abort(reason);
    }
}
