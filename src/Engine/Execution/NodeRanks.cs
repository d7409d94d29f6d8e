using LocalLlm.Interop;
using LocalLlm.Interop.Cuda;
using LocalLlm.Ops;
using LocalLlm.Ops.Cuda.Ranks;
using LocalLlm.Parallel;

namespace LocalLlm.Execution;

/// <summary>The ranks of one process: their devices and connections. The executor that takes a context owns it.</summary>
internal sealed class NodeRanks
{
    private const string CommunicatorIds = "nccl";

    private readonly ThreadAgreement _agreement;

    private NodeRanks(IReadOnlyList<RankContext> ranks, ThreadAgreement agreement) => (Ranks, _agreement) = (ranks, agreement);

    /// <summary>The contexts in rank order; the first is this process's first rank.</summary>
    public IReadOnlyList<RankContext> Ranks { get; }

    /// <summary>Creates the contexts of a node's ranks.</summary>
    /// <param name="plan">How the model is spread.</param>
    /// <param name="node">This node's index.</param>
    /// <param name="devices">A device for each of the node's ranks, in order.</param>
    /// <param name="numThreads">CPU threads of all these ranks together; 0: as many as this process has cores
    /// (<see cref="HostCores"/>).</param>
    /// <param name="peers">The other nodes; null: none.</param>
    /// <param name="processes">Number of nodes that share this host, including this one, with as many ranks each. They divide a CPU's
    /// cores and memory.</param>
    /// <exception cref="EngineException">Kind InvalidOptions: the devices cannot work together. Kind Environment: a device does not
    /// exist.</exception>
    public static NodeRanks Create(
        ParallelPlan plan, int node, IReadOnlyList<string> devices, int numThreads, INodePeers? peers = null, int processes = 1)
    {
        var places = plan.Ranks.Where(place => place.Node == node).ToList();
        var agreement = new ThreadAgreement(places.Count, peers);
        Func<NcclIds>? ids = peers is not null && (peers.ConnectsGpus || GpuRanks.ConnectsNodes)
            ? () => NcclIds.From(plan, peers.Share(CommunicatorIds, NewIds)) : null;
        var gpus = GpuRanks.TryCreate(plan, node, devices, ids);
        foreach (var device in devices.Take(places.Count).Distinct())
            DeviceRegistry.Require(device);
        var groups = new Dictionary<(int Stage, int Group), IReadOnlyList<ThreadCollectives>>();
        var stages = new Dictionary<int, IReadOnlyList<ThreadCollectives>>(); // all ranks of each
        var peersOf = new Dictionary<(int Stage, int TensorRank), IReadOnlyList<ThreadCollectives>>();
        var links = new Dictionary<int, IPipelineLink>(); // by the rank that sends
        var idLinks = new Dictionary<int, IPipelineLink>(); // by the rank of the first stage
        var cores = numThreads > 0 ? numThreads : HostCores.Count;
        var ranks = places.Select(place => new RankContext(plan, place.Rank, devices[place.LocalIndex], Collectives(place))
        {
            Previous = place.Stage == 0 ? null : LinkTo(place.Rank - plan.RanksPerStage),
            Next = place.Stage == plan.PipelineParallel - 1 ? null : LinkFrom(place.Rank),
            SampledIds = IdLinkOf(place),
            Experts = plan.DataParallel == 1 ? null : gpus?.Experts(place) ?? Of(stages, place.Stage, plan.RanksPerStage, place.Rank % plan.RanksPerStage),
            Peers = plan.DataParallel == 1 ? null : gpus?.Peers(place) ?? Of(peersOf, (place.Stage, place.TensorRank), plan.DataParallel, place.Group),
            RecordsSteps = gpus is null || places.TrueForAll(gpus.HasAllLinks),
            Memory = agreement,
            NumThreads = Math.Max(1, cores / (places.Count * processes)),
            RanksOnDevice = devices.Take(places.Count).Count(device => device == devices[place.LocalIndex])
                * (DeviceRegistry.IsGpu(devices[place.LocalIndex]) ? 1 : processes),
        });
        return new([.. ranks], agreement);

        byte[] NewIds() => NcclIds.Create(NcclLibrary.Load(TorchLibrary.Folder), plan).Bytes.ToArray();

        ICollectives Collectives(RankPlace place) => gpus is not null ? gpus.Tensor(place) :
            plan.TensorParallel == 1 ? new SingleRankCollectives() : Of(groups, (place.Stage, place.Group), plan.TensorParallel, place.TensorRank);

        // A rank's member of a group, which is created on first use.
        static ICollectives Of<T>(Dictionary<T, IReadOnlyList<ThreadCollectives>> all, T key, int size, int rank)
            where T : notnull
        {
            if (!all.TryGetValue(key, out var group))
                all.Add(key, group = ThreadCollectives.Create(size));
            return group[rank];
        }

        // The link between the last stage and the first, if both are on this node.
        IPipelineLink? IdLinkOf(RankPlace place)
        {
            var first = place.Rank % plan.RanksPerStage;
            var last = plan.WorldSize - plan.RanksPerStage + first;
            if (first == last || (place.Rank != first && place.Rank != last) || plan.PlaceOf(first).Node != node || plan.PlaceOf(last).Node != node)
                return null;
            if (gpus is not null)
                return place.Rank == last ? gpus.IdLink(first).Sender : gpus.IdLink(first).Receiver;
            if (!idLinks.TryGetValue(first, out var link))
                idLinks.Add(first, link = new ThreadLink());
            return link;
        }

        // The receiving end of the link that a rank sends on.
        IPipelineLink LinkTo(int rank) => gpus?.FindLink(rank)?.Receiver ?? LinkFrom(rank);

        IPipelineLink LinkFrom(int rank)
        {
            if (gpus?.FindLink(rank) is { } between)
                return between.Sender;
            if (!links.TryGetValue(rank, out var link))
            {
                var to = rank + plan.RanksPerStage;
                link = plan.PlaceOf(rank).Node == node && plan.PlaceOf(to).Node == node ? new ThreadLink() : peers!.Link(rank, to);
                links.Add(rank, link);
            }

            return link;
        }
    }

    /// <summary>The devices of a node's ranks, from the options.</summary>
    /// <param name="options">Options with a list of devices, or one name for all.</param>
    /// <param name="count">Number of ranks.</param>
    public static IReadOnlyList<string> DevicesOf(EngineOptions options, int count) =>
        options.Devices?.Select(device => DeviceRegistry.NameOf(device, 0)).ToList() ?? [.. Enumerable.Range(0, count).Select(index => DeviceRegistry.NameOf(options.Device, index))];

    /// <summary>Frees the connections of ranks that no executor has taken, from an index on.</summary>
    public void DisposeFrom(int index)
    {
        foreach (var rank in Ranks.Skip(index))
            rank.Dispose();
    }

    /// <summary>Ends every wait on any of the ranks.</summary>
    public void Abort(Exception reason)
    {
        _agreement.Abort(reason);
        foreach (var rank in Ranks)
            rank.Abort(reason);
    }
}
