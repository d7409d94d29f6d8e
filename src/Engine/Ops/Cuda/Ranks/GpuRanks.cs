using System.Globalization;
using LocalLlm.Interop;
using LocalLlm.Interop.Cuda;
using LocalLlm.Parallel;

namespace LocalLlm.Ops.Cuda.Ranks;

/// <summary>
/// The connections between ranks on GPUs. Our own kernels connect ranks of one process that reach each other's memory (on one card, or on
/// cards with peer access). NCCL takes over for large messages, and wherever there is no such access. This class plans connections and
/// refuses what does not work; the connections are bound to the devices later.
/// </summary>
internal sealed class GpuRanks
{
    /// <summary>The environment variable that makes NCCL do everything (vLLM's --disable-custom-all-reduce).</summary>
    public const string NoOwnKernelsVariable = "LOCALLLM_DISABLE_CUSTOM_ALL_REDUCE";

    /// <summary>
    /// The environment variable that, set to 1 on all nodes, connects stages on different nodes by NCCL. Without it, residual streams go
    /// through the hosts' memory and the control stream: NCCL has been tested between two nodes of one machine, but not over a network.
    /// </summary>
    public const string BetweenNodesVariable = "LOCALLLM_NCCL_BETWEEN_NODES";

    /// <summary>The driver's environment variable for the number of its queues to a card.</summary>
    public const string ConnectionsVariable = "CUDA_DEVICE_MAX_CONNECTIONS";

    // A launch may queue behind a call of the driver that waits for the card (LaunchGate). Two ranks wait only for each other. With more
    // ranks, a third may make such a call between the launches of two others.
    private const int MaxRanksOnCard = 2;

    // The driver's default. With fewer queues than streams, work that waits for a peer can block the peer's work in the same queue.
    private const int MinConnections = 8;

    private readonly ParallelPlan _plan;
    private readonly int _node;
    private readonly int[] _ordinals; // of this node's ranks
    private readonly Lazy<NcclIds>? _ids; // requested by the first rank that connects; null: no connections to other nodes
    private readonly bool _ownKernels = Environment.GetEnvironmentVariable(NoOwnKernelsVariable) is not ("1" or "true");
    private readonly LaunchGate _process;
    private readonly Dictionary<string, ICollectives[]> _groups = []; // by the ranks that are connected
    private readonly Dictionary<int, (IPipelineLink Sender, IPipelineLink Receiver)> _links = []; // by the rank that sends
    private readonly Dictionary<int, (IPipelineLink Sender, IPipelineLink Receiver)> _idLinks = []; // by the rank of the first stage

    private GpuRanks(ParallelPlan plan, int node, int[] ordinals, Func<NcclIds>? ids)
    {
        (_plan, _node, _ordinals, _process) = (plan, node, ordinals, new(ordinals.Length));
        _ids = ids is null ? null : new(ids);
        RefuseFewQueues(Environment.GetEnvironmentVariable(ConnectionsVariable), ordinals);
        if (ordinals.CountBy(ordinal => ordinal).FirstOrDefault(card => card.Value > MaxRanksOnCard) is { Value: > 0 } full)
        {
            throw new EngineException(
                EngineErrorKind.InvalidOptions,
                $"{full.Value} ranks would run on cuda:{full.Key}, but at most {MaxRanksOnCard} ranks can share a card. Name more devices, or lower "
                + "tensor_parallel_size, pipeline_parallel_size or data_parallel_size.",
                "device");
        }

        RefuseSharedCards(plan, ordinals);
    }

    /// <summary>
    /// Refuses data-parallel groups with more than two ranks in total if some ranks share a card. Such ranks have several connections.
    /// While two ranks launch work that waits for each other, a third may make a call of the driver that waits for their card
    /// (<see cref="LaunchGate"/>).
    /// </summary>
    /// <param name="plan">How the model is spread over ranks.</param>
    /// <param name="ordinals">The card of each rank.</param>
    /// <exception cref="EngineException">Kind InvalidOptions.</exception>
    public static void RefuseSharedCards(ParallelPlan plan, IReadOnlyCollection<int> ordinals)
    {
        if (plan.DataParallel == 1 || ordinals.Count <= MaxRanksOnCard
            || ordinals.CountBy(ordinal => ordinal).FirstOrDefault(card => card.Value > 1) is not { Value: > 0 } shared)
        {
            return;
        }

        throw new EngineException(
            EngineErrorKind.InvalidOptions,
            $"data_parallel_size is {plan.DataParallel}, and of its {ordinals.Count} ranks {shared.Value} would run on cuda:{shared.Key}: beside "
            + $"data-parallel groups ranks share a card only where there are {MaxRanksOnCard} in all. Name a device for each.",
            "device");
    }

    /// <summary>
    /// Refuses a setting of <see cref="ConnectionsVariable"/> with which ranks on one card could block each other forever.
    /// </summary>
    /// <param name="given">The variable's value; null: the driver's default.</param>
    /// <param name="ordinals">The card of each rank.</param>
    /// <exception cref="EngineException">Kind Environment.</exception>
    public static void RefuseFewQueues(string? given, IReadOnlyCollection<int> ordinals)
    {
        if (string.IsNullOrEmpty(given) || ordinals.Distinct().Count() == ordinals.Count
            || (int.TryParse(given, NumberStyles.None, CultureInfo.InvariantCulture, out var connections) && connections >= MinConnections))
        {
            return;
        }

        throw new EngineException(
            EngineErrorKind.Environment,
            $"{ConnectionsVariable} is {given}, but several ranks run on one card: with fewer than {MinConnections} queues one would wait forever "
            + $"behind another. Unset it, or set it to {MinConnections} or more.",
            "device");
    }

    /// <summary>Plans the connections of a node's ranks.</summary>
    /// <param name="plan">How the model is spread over ranks.</param>
    /// <param name="node">Number of this node.</param>
    /// <param name="devices">A device for each of the node's ranks, in order; several may be the same card.</param>
    /// <param name="ids">Returns the ids that all nodes share, and may wait for them; null: no connections to other nodes.</param>
    /// <returns>Null: the devices are not GPUs.</returns>
    /// <exception cref="EngineException">Kind InvalidOptions: only some devices are GPUs. Kind Environment: the driver has too few
    /// queues.</exception>
    public static GpuRanks? TryCreate(ParallelPlan plan, int node, IReadOnlyList<string> devices, Func<NcclIds>? ids = null)
    {
        var ordinals = devices.Take(plan.RanksPerNode).Select(OrdinalOf).ToArray();
        if (Array.TrueForAll(ordinals, ordinal => ordinal is null))
            return null;
        if (Array.Exists(ordinals, ordinal => ordinal is null))
        {
            throw new EngineException(
                EngineErrorKind.InvalidOptions,
                $"Ranks cannot be split over GPUs and other devices: {string.Join(", ", devices)}. Name devices of one kind.",
                "device");
        }

        return new(plan, node, [.. ordinals.Select(ordinal => ordinal!.Value)], ids);
    }

    /// <summary>The tensor-parallel group of a rank of this node; only the rank's thread may use it.</summary>
    public ICollectives Tensor(RankPlace place) => _plan.TensorParallel == 1 ? new SingleRankCollectives()
        : Connection(place, other => other.Stage == place.Stage && other.Group == place.Group);

    /// <summary>All ranks of a rank's stage, group by group.</summary>
    public ICollectives Experts(RankPlace place) => Connection(place, other => other.Stage == place.Stage);

    /// <summary>
    /// The ranks with the same place in each data-parallel group of the stage, by group. The same object as <see cref="Experts"/> if groups
    /// have one rank.
    /// </summary>
    public ICollectives Peers(RankPlace place) => Connection(place, other => other.Stage == place.Stage && other.TensorRank == place.TensorRank);

    /// <summary>Both ends of the link on which a rank sends; null: it leads to another node and has no NCCL id.</summary>
    public (IPipelineLink Sender, IPipelineLink Receiver)? FindLink(int from)
    {
        if (!HasLink(from))
            return null;
        if (!_links.TryGetValue(from, out var link))
            _links.Add(from, link = CreateLink(from));
        return link;
    }

    /// <summary>
    /// Both ends of the link that sends the ids sampled by a rank of the last stage to its peer in the first stage; both are on this node.
    /// Whatever else connects the two, the cards' copy engines carry these small messages, and no kernel waits for them.
    /// </summary>
    /// <param name="first">The rank in the first stage.</param>
    public (IPipelineLink Sender, IPipelineLink Receiver) IdLink(int first)
    {
        if (!_idLinks.TryGetValue(first, out var link))
        {
            var last = _plan.WorldSize - _plan.RanksPerStage + first;
            var (receiver, sender) = (_ordinals[_plan.PlaceOf(first).LocalIndex], _ordinals[_plan.PlaceOf(last).LocalIndex]);
            int? reached = _ownKernels && Reach(receiver, sender) ? sender : null;
            var messages = new CopiedMessages(_plan.PipelineParallel + 1);
            _idLinks.Add(first, link = (new CopyLink(messages, sends: true, reached), new CopyLink(messages, sends: false, reached)));
        }

        return link;
    }

    /// <summary>Whether <see cref="BetweenNodesVariable"/> is set.</summary>
    public static bool ConnectsNodes => Environment.GetEnvironmentVariable(BetweenNodesVariable) is "1" or "true";

    /// <summary>Whether all links of a rank are between GPUs.</summary>
    public bool HasAllLinks(RankPlace place) =>
        (place.Stage == 0 || HasLink(place.Rank - _plan.RanksPerStage))
        && (place.Stage == _plan.PipelineParallel - 1 || HasLink(place.Rank));

    private bool HasLink(int from) => _ids is not null || _plan.PlaceOf(from).Node == _plan.PlaceOf(from + _plan.RanksPerStage).Node;

    private static int? OrdinalOf(string device) => device == "cuda" ? 0
        : device.StartsWith("cuda:", StringComparison.Ordinal)
            && int.TryParse(device.AsSpan(5), NumberStyles.None, CultureInfo.InvariantCulture, out var ordinal) ? ordinal : null;

    private static unsafe bool Reach(int one, int other)
    {
        int a, b, can;
        return one == other
            || (CudaDriver.cuDeviceGet(&a, one) == 0 && CudaDriver.cuDeviceGet(&b, other) == 0
                && CudaDriver.cuDeviceCanAccessPeer(&can, a, b) == 0 && can != 0);
    }

    private static NcclLibrary Library() => NcclLibrary.Load(TorchLibrary.Folder);

    private ICollectives Connection(RankPlace place, Func<RankPlace, bool> isMember)
    {
        var ranks = _plan.Ranks.Where(isMember).ToArray();
        var key = string.Join(',', ranks.Select(rank => rank.Rank));
        if (!_groups.TryGetValue(key, out var group))
            _groups.Add(key, group = CreateGroup(ranks));
        return group[Array.IndexOf(ranks, place)];
    }

    // Connects some ranks of a stage, in order.
    private ICollectives[] CreateGroup(RankPlace[] ranks)
    {
        var here = ranks.Where(place => place.Node == _node).ToArray();
        var cards = here.Select(place => _ordinals[place.LocalIndex]).ToArray();
        if (here.Length < ranks.Length && _ids is null)
        {
            throw new EngineException(
                EngineErrorKind.InvalidOptions,
                $"tensor_parallel_size is {ranks.Length}, but this process holds {here.Length} ranks of a group: GPUs of one group are on one "
                + "host. Use pipeline_parallel_size between hosts.",
                "tensor_parallel_size");
        }

        // Data-parallel groups are in one process, so these ranks are a stage's tensor-parallel group.
        if (here.Length < ranks.Length)
            return Nccl(ranks, here, () => (Library(), _ids!.Value.Group(ranks[0].Stage)));
        var areApart = cards.Distinct().Count() == cards.Length;
        if (!_ownKernels || !Array.TrueForAll(cards, one => Array.TrueForAll(cards, other => Reach(one, other))))
            return Nccl(ranks, here, NewCommunicator());

        // NCCL is used if it is installed and every rank has a card of its own, as it requires.
        var group = new PeerGroup(ranks.Length, _process);
        var gates = new RankGates(new(ranks.Length), _process);
        var communicator = NewCommunicator();
        return [.. Enumerable.Range(0, ranks.Length).Select(rank => new PeerCollectives(group, rank, areApart
            ? () => NcclLibrary.TryLoad(TorchLibrary.Folder) is null ? null : new NcclCollectives(new(communicator, rank, ranks.Length, gates))
            : null))];
    }

    private ICollectives[] Nccl(RankPlace[] ranks, RankPlace[] here, Func<(NcclLibrary Library, NcclLibrary.UniqueId Id)> communicator)
    {
        var gates = new RankGates(new(here.Length), _process);
        var meeting = here.Length == ranks.Length ? new RankMeeting(new(ranks.Length)) : null;
        var group = new ICollectives[ranks.Length];
        foreach (var rank in Enumerable.Range(0, ranks.Length).Where(rank => ranks[rank].Node == _node))
            group[rank] = new NcclCollectives(new(communicator, rank, ranks.Length, gates), meeting);
        return group;
    }

    private (IPipelineLink Sender, IPipelineLink Receiver) CreateLink(int from)
    {
        const int ends = 2;
        var (sender, receiver) = (_plan.PlaceOf(from), _plan.PlaceOf(from + _plan.RanksPerStage));
        if (sender.Node != receiver.Node)
        {
            Func<(NcclLibrary Library, NcclLibrary.UniqueId Id)> communicator = () => (Library(), _ids!.Value.Link(from));
            return (new NcclLink(new(communicator, 0, ends, RankGates.None)), new NcclLink(new(communicator, 1, ends, RankGates.None)));
        }

        var (first, second) = (_ordinals[sender.LocalIndex], _ordinals[receiver.LocalIndex]);
        if (_ownKernels && Reach(first, second) && Reach(second, first))
        {
            var group = new PeerGroup(ends, _process);
            return (new PeerLink(group, sends: true), new PeerLink(group, sends: false));
        }

        var created = NewCommunicator();
        var gates = new RankGates(new(ends), _process);
        return (new NcclLink(new(created, 0, ends, gates)), new NcclLink(new(created, 1, ends, gates)));
    }

    // A communicator between ranks of this process: the first rank that asks creates the id.
    private static Func<(NcclLibrary Library, NcclLibrary.UniqueId Id)> NewCommunicator()
    {
        var created = new Lazy<(NcclLibrary Library, NcclLibrary.UniqueId Id)>(() =>
        {
            var library = Library();
            return (library, library.CreateUniqueId());
        });
        return () => created.Value;
    }
}
