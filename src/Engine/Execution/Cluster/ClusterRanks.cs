using System.Globalization;
using LocalLlm.Interop.Mpi;
using LocalLlm.Ops;
using LocalLlm.Parallel;

namespace LocalLlm.Execution.Cluster;

/// <summary>Plans the ranks of this process, connected with those of others.</summary>
internal static class ClusterRanks
{
    private const string Backend = "distributed_executor_backend";

    /// <summary>Plans them.</summary>
    /// <param name="options">What the process was started with.</param>
    /// <param name="layout">Which ranks it holds.</param>
    /// <param name="node">Which node it is.</param>
    /// <param name="peer">The other processes.</param>
    /// <returns>The loader, and what ends every wait of its ranks.</returns>
    /// <exception cref="EngineException">They cannot work together, or cannot be planned.</exception>
    public static (IExecutorLoader Loader, Action<Exception> Abort) Open(EngineOptions options, ClusterLayout layout, int node, IClusterPeer peer)
    {
        var plan = layout.Plan;
        RequireDevices(options, layout);
        var devices = layout.HubHoldsRanks ? NodeRanks.DevicesOf(options, plan.RanksPerNode) : [ProcessDevices.Of(options)[node]];
        var isOnGpu = ProcessDevices.AreGpus(devices);
        if (!layout.HubHoldsRanks && !isOnGpu && (MpiLaunch.Find() is not null || plan.TensorParallel > 1))
            return OpenRank(options, plan, node, peer);
        var peers = new ClusterPeers(peer, plan, node, devices) { ConnectsGpus = !layout.HubHoldsRanks && isOnGpu };
        // Processes of one rank each are this machine's; how many nodes share it, only their operator knows.
        var ranks = NodeRanks.Create(plan, node, devices, options.NumThreads, peers, layout.HubHoldsRanks ? 1 : ProcessesHere(plan));
        return (new ParallelLoader(options, ranks), ranks.Abort);
    }

    /// <summary>Refuses ranks in processes of their own on devices that have no such ranks, now that <c>auto</c> is a device.</summary>
    /// <exception cref="EngineException">Kind InvalidOptions.</exception>
    public static void RequireDevices(EngineOptions options, ClusterLayout layout)
    {
        if (!layout.HubHoldsRanks && ProcessDevices.FaultOf(options, ProcessDevices.Of(options)) is { } fault)
            throw new EngineException(EngineErrorKind.InvalidOptions, $"{Backend} {fault}.", Backend);
    }

    /// <summary>
    /// What the process in front of ranks with processes of their own plans with: the first rank, and its share of what they divide.
    /// </summary>
    public static RankContext Planned(EngineOptions options, ParallelPlan plan)
    {
        var devices = ProcessDevices.Of(options);
        return new(plan, 0, devices[0], new PlannedCollectives(0, plan.TensorParallel))
        {
            IsPlanned = true, RanksOnDevice = ProcessDevices.AreGpus(devices) ? 1 : ProcessesHere(plan),
        };
    }

    /// <summary>
    /// Waits until the rank of every process has been planned: each takes its share of a host's memory that is free, so none takes any
    /// before all have looked.
    /// </summary>
    /// <param name="layout">With a process for each rank.</param>
    /// <param name="node">Which this is.</param>
    /// <param name="peer">The others.</param>
    /// <exception cref="RankFailedException">The replica was aborted.</exception>
    public static void MeetPlanned(ClusterLayout layout, int node, IClusterPeer peer)
    {
        peer.Share(new(Key(node), []));
        foreach (var other in layout.RemoteNodes)
            peer.Mail.TakeShared(Key(other));

        static string Key(int node) => string.Create(CultureInfo.InvariantCulture, $"planned {node}");
    }

    // Of those that have a rank each, as many as share this host.
    private static int ProcessesHere(ParallelPlan plan) => MpiLaunch.Find()?.LocalSize ?? plan.Nodes;

    // One rank in a process that mpirun has started.
    private static (IExecutorLoader Loader, Action<Exception> Abort) OpenRank(EngineOptions options, ParallelPlan plan, int rank, IClusterPeer peer)
    {
        if (MpiLaunch.Find() is not { } launch)
            throw new EngineException(EngineErrorKind.InvalidOptions, "tensor_parallel_size above 1 with a process for each rank needs MPI on CPUs: install Open MPI, or use distributed_executor_backend threads.", "tensor_parallel_size");
        var world = MpiWorld.Join();
        if (world.Size != plan.WorldSize || world.Rank != rank)
            throw new EngineException(EngineErrorKind.InvalidOptions, $"mpirun has started {world.Size} processes, of which this is rank {world.Rank}; the options ask for {plan.WorldSize} ranks, of which it is {rank}. Start as many processes as tensor_parallel_size x pipeline_parallel_size.", "tensor_parallel_size");
        var place = plan.PlaceOf(rank);
        ICollectives group = plan.TensorParallel == 1
            ? new SingleRankCollectives()
            : new MpiCollectives(world, world.Split(place.Stage), place.TensorRank, plan.TensorParallel);
        var cores = options.NumThreads > 0 ? options.NumThreads : HostCores.Count;
        var context = new RankContext(plan, rank, ProcessDevices.Of(options)[rank], group)
        {
            Previous = place.Stage == 0 ? null : new MpiPipelineLink(world, rank - plan.TensorParallel),
            Next = place.Stage == plan.PipelineParallel - 1 ? null : new MpiPipelineLink(world, rank + plan.TensorParallel),
            Memory = peer,
            NumThreads = Math.Max(1, cores / launch.LocalSize),
            RanksOnDevice = launch.LocalSize,
        };
        return (new ModelLoader(options, context), reason =>
        {
            context.Abort(reason);
        });
    }
}
