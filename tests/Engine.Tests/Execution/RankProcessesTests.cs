using LocalLlm.Cluster.Tests;
using LocalLlm.Execution;
using LocalLlm.Execution.Cluster;
using LocalLlm.Interop;
using LocalLlm.Interop.Cuda;
using LocalLlm.Ops;
using LocalLlm.Ops.Cuda;
using LocalLlm.Ops.Cuda.Ranks;
using LocalLlm.Parallel;
using LocalLlm.Tests.Engine;
using LocalLlm.Tests.Ops;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;
using static TorchSharp.torch;

namespace LocalLlm.Tests.Execution;

/// <summary>
/// Ranks in processes of their own, on GPUs, connected by NCCL. A stand-in replaces NCCL in the host's memory, and its ids travel over the
/// control stream. The stand-in is the whole process's NCCL, so no other test may run at the same time.
/// </summary>
[Collection(nameof(RunsAlone))]
public sealed class RankProcessesTests : IDisposable
{
    public RankProcessesTests()
    {
        TorchLibrary.EnsureLoaded();
        NcclLibrary.Use(FakeNccl.Library);
    }

    public void Dispose() => NcclLibrary.Use(null);

    [Theory]
    [InlineData(2, 1)]
    [InlineData(1, 3)]
    [InlineData(2, 2)]
    public async Task Groups_and_links_of_all_processes_meet_by_the_ids_of_rank_0(int tensorParallel, int stages)
    {
        var plan = new ParallelPlan(tensorParallel, stages, tensorParallel * stages);
        var layout = new ClusterLayout(plan, HubHoldsRanks: false);
        var network = new MemoryNetwork();
        using var hub = new ClusterHub(layout, Hello(0), network.Transport(), new(), NullLogger.Instance);
        var joining = Task.Run(() => hub.Join(null, Token), Token);
        var alive = FakeNccl.Alive;
        // All members stay until the last one is done, because a process that leaves ends the replica.
        var members = await Task.WhenAll(plan.Ranks.Select(place => ClusterMember.JoinAsync(layout, Hello(place.Rank), network.Transport(), new(), Token)));
        await joining;
        await Task.WhenAll(plan.Ranks.Select(place => Task.Factory.StartNew(
            () => Run(plan, members[place.Rank], place), Token, TaskCreationOptions.LongRunning, TaskScheduler.Default)));
        Assert.Equal(alive, FakeNccl.Alive);
        foreach (var member in members)
            await member.DisposeAsync();
    }

    [Fact]
    public async Task Processes_of_one_host_divide_its_cores_and_a_CPUs_memory()
    {
        const string device = "cpu";
        var plan = new ParallelPlan(1, 4, 4);
        var layout = new ClusterLayout(plan, HubHoldsRanks: false);
        var network = new MemoryNetwork();
        using var hub = new ClusterHub(layout, Hello(0), network.Transport(), new(), NullLogger.Instance);
        var joining = Task.Run(() => hub.Join(null, Token), Token);
        var members = await Task.WhenAll(plan.Ranks.Select(place => ClusterMember.JoinAsync(layout, Hello(place.Rank), network.Transport(), new(), Token)));
        await joining;
        Assert.Equal((2, 4), Shares(processes: 4));
        Assert.Equal((8, 1), Shares(processes: 1)); // the only process of its host
        foreach (var member in members)
            await member.DisposeAsync();

        (int, int) Shares(int processes)
        {
            var ranks = NodeRanks.Create(plan, 1, [device], numThreads: 8, new ClusterPeers(members[1], plan, 1, [device]), processes);
            using var rank = ranks.Ranks.Single();
            return (rank.NumThreads, rank.RanksOnDevice);
        }
    }

    // The front end, too, estimates memory with the share of one rank.
    [Theory]
    [InlineData("cpu", 4)]
    [InlineData("cuda", 1)]
    public void The_front_end_plans_with_the_share_of_a_rank(string device, int ranksOnDevice)
    {
        var options = new EngineOptions { ModelPath = TestPaths.TinyR1, Device = device, PipelineParallel = 4, DistributedExecutorBackend = "processes" };
        using var rank = ClusterRanks.Planned(options, new(1, 4, 4));
        Assert.Equal((ranksOnDevice, true), (rank.RanksOnDevice, rank.IsPlanned));
    }

    // Memory that the first process to load has taken is no longer free and must not be divided again.
    [Fact]
    public async Task No_process_loads_before_all_have_seen_what_is_free()
    {
        var layout = new ClusterLayout(new(1, 3, 3), HubHoldsRanks: false);
        var network = new MemoryNetwork();
        using var hub = new ClusterHub(layout, Hello(0), network.Transport(), new(), NullLogger.Instance);
        var joining = Task.Run(() => hub.Join(null, Token), Token);
        var seen = 0;
        var loading = new List<Task<int>>();
        var members = new List<ClusterMember>();
        for (var node = 0; node < 3; node++)
        {
            // Later nodes join long after the first one has planned.
            var (own, member) = (node, await ClusterMember.JoinAsync(layout, Hello(node), network.Transport(), new(), Token));
            members.Add(member);
            Interlocked.Increment(ref seen);
            loading.Add(Task.Factory.StartNew(
                () =>
                {
                    ClusterRanks.MeetPlanned(layout, own, member);
                    return Volatile.Read(ref seen);
                },
                Token, TaskCreationOptions.LongRunning, TaskScheduler.Default));
        }

        await joining;
        Assert.All(await Task.WhenAll(loading), planned => Assert.Equal(3, planned));
        foreach (var member in members)
            await member.DisposeAsync();
    }

    // What a process does: it adds its part of a sum, then passes the residual stream through its stage.
    private static void Run(ParallelPlan plan, ClusterMember member, RankPlace place)
    {
        var rank = place.Rank;
        var peers = new ClusterPeers(member, plan, rank, [$"cuda:{rank}"]);
        byte[] NewIds() => NcclIds.Create(FakeNccl.Library, plan).Bytes.ToArray();
        var gpus = GpuRanks.TryCreate(plan, rank, [$"cuda:{rank}"], () => NcclIds.From(plan, peers.Share("nccl", NewIds)))!;
        Assert.True(gpus.HasAllLinks(place)); // steps are recorded only then
        using var group = gpus.Tensor(place);
        using var previous = place.Stage == 0 ? null : gpus.FindLink(rank - plan.TensorParallel)!.Value.Receiver;
        using var next = place.Stage == plan.PipelineParallel - 1 ? null : gpus.FindLink(rank)!.Value.Sender;
        using var device = new HostRank();
        foreach (var connection in (object?[])[group, previous, next])
            (connection as IDeviceBound)?.Bind(device);

        using var scope = NewDisposeScope();
        var hidden = previous?.Receive(2, 3, float32) ?? zeros(2, 3);
        hidden = hidden + group.AllReduce(full(2, 3, 1f + place.TensorRank));
        next?.Send(hidden);
        var sum = plan.TensorParallel * (plan.TensorParallel + 1) / 2;
        Assert.True(full(2, 3, (float)(sum * (place.Stage + 1))).SameAs(hidden));
    }

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    private static NodeHello Hello(int node) => new() { Version = "1", StepFormat = 1, Node = node, Host = "here", ProcessId = node };

    private sealed class HostRank() : PrimitiveOps(new TorchOps(CPU)), ICollectiveDevice
    {
        public IntPtr Stream => IntPtr.Zero;

        public bool IsRecording => false;

        public void Synchronize()
        {
            // The host computes synchronously.
        }

        public void UseOnThisThread()
        {
            // Every thread reaches the host's memory.
        }

        public void RecordGate(LaunchGate gate) => throw new NotSupportedException();

        public Tensor Rent(WorkspaceSlot slot, long rows, long width, ScalarType type) => zeros(rows, width, type);
    }
}
