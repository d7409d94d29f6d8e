using System.Diagnostics;
using LocalLlm.Interop;
using LocalLlm.Interop.Cuda;
using LocalLlm.Ops;
using LocalLlm.Ops.Cuda.Ranks;
using LocalLlm.Parallel;
using Xunit;
using static TorchSharp.torch;

namespace LocalLlm.Tests.Ops;

/// <summary>
/// The calls to NCCL, tested with a stand-in on the host (any number of ranks) and on one card, and with the real library as far as the
/// machine has cards.
/// </summary>
public sealed class NcclCollectivesTests
{
    private static readonly ScalarType[] Types = [ScalarType.Float32, ScalarType.BFloat16, ScalarType.Float16];

    public NcclCollectivesTests() => TorchLibrary.EnsureLoaded();

    [Theory]
    [InlineData(2)]
    [InlineData(4)]
    [InlineData(8)]
    public void Every_rank_makes_the_same_calls_in_the_same_order_and_has_the_same_results(int ranks)
    {
        var id = FakeNccl.Library.CreateUniqueId();
        OnHost(ranks, id, (rank, group) =>
        {
            foreach (var type in Types)
            {
                using var scope = NewDisposeScope();
                var part = (arange(12, float32) + rank).to(type).view(3, 4);
                var sum = ((arange(12, float32) * ranks) + (ranks * (ranks - 1) / 2)).to(type).view(3, 4);
                Assert.True(sum.SameAs(group.AllReduce(part.clone())));
                var residual = ones(3, 4, type);
                group.AddAllReduced(residual, part.clone());
                Assert.True((sum + 1).SameAs(residual));
                Assert.True(cat([.. Enumerable.Range(0, ranks).Select(peer => (arange(12, float32) + peer).to(type).view(3, 4))], 1).SameAs(group.AllGather(part, 1)));
                Assert.True(cat([.. Enumerable.Range(0, ranks).Select(peer => (arange(12, float32) + peer).to(type).view(3, 4))], 0).SameAs(group.AllGather(part, 0)));
                // The last rank has only one column, the others have four.
                var mine = rank == ranks - 1 ? part.narrow(1, 0, 1).contiguous() : part;
                var whole = group.AllGatherColumns(mine, 4, (4 * ranks) - 3);
                Assert.Equal([3, (4 * ranks) - 3], whole.shape);
                Assert.Equal(ranks - 1, whole[0, (4 * ranks) - 4].to(float32).item<float>());
            }
        });
        var calls = FakeNccl.CallsOf(id);
        Assert.Equal(ranks, calls.Count);
        Assert.All(calls, one => Assert.Equal(calls[0], one));
        NcclCall[] expected = [.. new[] { 7, 9, 6 }.SelectMany(type => (NcclCall[])
        [
            new("ncclAllReduce", 12, type, 0), new("ncclAllReduce", 12, type, 0), new("ncclAllGather", 12, type, 0), new("ncclAllGather", 12, type, 0), new("ncclAllGather", 12, type, 0),
        ])];
        Assert.Equal(expected, calls[0]);
    }

    [Theory]
    [InlineData(3, 0, 5)]
    [InlineData(0, 4, 0, 2)]
    [InlineData(2, 2)]
    [InlineData(0, 7)]
    public void Groups_with_unequal_numbers_of_rows_make_the_same_calls(params int[] rows)
    {
        const int width = 4;
        var id = FakeNccl.Library.CreateUniqueId();
        var total = rows.Sum();
        OnHost(rows.Length, id, (rank, group) =>
        {
            foreach (var type in Types)
            {
                using var scope = NewDisposeScope();
                Tensor Own(int peer) => (arange(rows[peer] * width, float32) + (100 * peer)).to(type).view(rows[peer], width);
                var own = Own(rank);
                // Twice: what an earlier call left in the buffer must not become a row of this step.
                foreach (var _ in (int[])[1, 2])
                    Assert.True(cat([.. Enumerable.Range(0, rows.Length).Select(Own)], 0).SameAs(group.AllGatherRows(own, rows)));
                var first = rows[..rank].Sum();
                var residual = own.clone();
                group.AddReducedRows(residual, (arange(total * width, float32) + rank).to(type).view(total, width), first);
                var sum = (arange(total * width, float32) * rows.Length) + (rows.Length * (rows.Length - 1) / 2);
                Assert.True((own.to(float32) + sum.to(type).to(float32).view(total, width).narrow(0, first, rows[rank])).to(type).SameAs(residual));
            }
        });
        var calls = FakeNccl.CallsOf(id);
        Assert.All(calls, one => Assert.Equal(calls[0], one));
        Assert.Equal(rows.Max() * width, calls[0][0].Count);
    }

    [Fact]
    public void Ranks_of_one_process_show_each_other_what_they_have_and_an_abort_ends_their_waiting()
    {
        var id = FakeNccl.Library.CreateUniqueId();
        var meeting = new RankMeeting(new(3));
        using var waiting = new CountdownEvent(2);
        RunThreads(3, rank =>
        {
            using var group = new NcclCollectives(Communicator(id, rank, 3), meeting);
            for (var round = 0; round < 50; round++)
                Assert.Equal($"0:{round} 1:{round} 2:{round}", group.Share($"{rank}:{round}", all => string.Join(' ', all)));
            if (rank == 2)
            {
                waiting.Wait();
                group.Abort(new InvalidOperationException("pulled out"));
                return;
            }

            waiting.Signal();
            Assert.Contains("pulled out", Assert.Throws<RankFailedException>(() => group.Share("own", all => all.Count)).Message, StringComparison.Ordinal);
        });
        using var beyond = new NcclCollectives(Communicator(id, 0, 3));
        Assert.Throws<NotSupportedException>(() => beyond.Share("own", all => all.Count));
    }

    [Fact]
    public void A_rank_that_makes_another_call_gets_an_error()
    {
        var id = FakeNccl.Library.CreateUniqueId();
        var failures = 0;
        OnHost(2, id, (rank, group) =>
        {
            try
            {
                group.AllReduce(zeros(rank == 0 ? 8 : 9));
            }
            catch (Exception failure) when (failure is NcclException or RankFailedException)
            {
                Interlocked.Increment(ref failures);
                group.Abort(failure);
            }
        });
        Assert.Equal(2, failures);
    }

    [Fact]
    public void An_abort_from_another_thread_ends_a_rank_that_waits_and_every_later_call()
    {
        var id = FakeNccl.Library.CreateUniqueId();
        using var waiting = new ManualResetEventSlim();
        var groups = new NcclCollectives[2];
        var clock = new Stopwatch();
        var aborting = new Thread(() =>
        {
            waiting.Wait();
            clock.Start();
            groups[0].Abort(new InvalidOperationException("pulled out"));
        });
        aborting.Start();
        OnHost(2, id, (rank, group) =>
        {
            groups[rank] = (NcclCollectives)group;
            group.AllReduce(zeros(4));
            if (rank == 1)
                return;
            waiting.Set();
            // Rank 1 never comes.
            Assert.ThrowsAny<Exception>(() => group.AllReduce(zeros(4)));
            aborting.Join();
            Assert.Contains("pulled out", Assert.Throws<RankFailedException>(() => group.AllReduce(zeros(4))).Message, StringComparison.Ordinal);
        });
        Assert.True(clock.Elapsed.TotalSeconds < 5);
    }

    [Fact]
    public void A_link_sends_from_the_earlier_stage_to_the_later_one()
    {
        var id = FakeNccl.Library.CreateUniqueId();
        RunThreads(2, rank =>
        {
            using var link = new NcclLink(Communicator(id, rank, 2));
            for (var step = 1; step <= 3; step++)
            {
                using var scope = NewDisposeScope();
                if (rank == 0)
                    link.Send(full(step, 6, (float)step));
                else
                    Assert.True(full(step, 6, (float)step).SameAs(link.Receive(step, 6, float32)));
            }
        });
        Assert.Equal(FakeNccl.CallsOf(id)[0], FakeNccl.CallsOf(id)[1]);
    }

    [Fact]
    public void Ids_of_all_communicators_survive_the_way_to_another_node()
    {
        var plan = new ParallelPlan(2, 3, 3);
        var ids = NcclIds.Create(FakeNccl.Library, plan);
        var there = NcclIds.From(plan, ids.Bytes.Span);
        for (var stage = 0; stage < 3; stage++)
            Assert.Equal(ids.Group(stage).ToBytes(), there.Group(stage).ToBytes());
        for (var rank = 0; rank < 4; rank++)
            Assert.Equal(ids.Link(rank).ToBytes(), there.Link(rank).ToBytes());
        Assert.Equal(7, Enumerable.Range(0, 3).Select(there.Group).Concat(Enumerable.Range(0, 4).Select(there.Link)).Select(id => Convert.ToHexString(id.ToBytes())).Distinct().Count());
        Assert.Throws<EngineException>(() => NcclIds.From(new ParallelPlan(2, 2, 2), ids.Bytes.Span));
    }

    [Fact]
    public void A_machine_without_nccl_is_refused_with_what_to_do()
    {
        if (NcclLibrary.TryLoad(null) is not null)
            Assert.Skip("this machine has NCCL");
        var refusal = Assert.Throws<EngineException>(() => NcclLibrary.Load(null));
        Assert.Equal(EngineErrorKind.Environment, refusal.Kind);
        Assert.Contains(NcclLibrary.EnvironmentVariable, refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_stand_in_sums_between_ranks_on_one_card_also_inside_a_graph()
    {
        CardRanks.Require(1);
        var id = FakeNccl.Library.CreateUniqueId();
        var gates = new RankGates(new(2), new(2));
        CardRanks.Run(["cuda:0", "cuda:0"], [.. Enumerable.Range(0, 2).Select(rank => ((ICollectives)new NcclCollectives(new(() => (FakeNccl.Library, id), rank, 2, gates)), (IPipelineLink?)null, (IPipelineLink?)null))], SumsInAGraph);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void Nccl_itself_sums_gathers_and_replays_graphs_with_a_rank_on_each_card(int cards)
    {
        CardRanks.Require(cards);
        var library = RealLibrary();
        var id = library.CreateUniqueId();
        var gates = new RankGates(new(cards), new(cards));
        string[] devices = [.. Enumerable.Range(0, cards).Select(card => $"cuda:{card}")];
        CardRanks.Run(devices, [.. Enumerable.Range(0, cards).Select(rank => ((ICollectives)new NcclCollectives(new(() => (library, id), rank, cards, gates)), (IPipelineLink?)null, (IPipelineLink?)null))], SumsInAGraph);
    }

    [Fact]
    public unsafe void Nccl_itself_sends_to_its_own_rank_and_can_be_aborted()
    {
        CardRanks.Require(1);
        var library = RealLibrary();
        var id = library.CreateUniqueId();
        CardRanks.Run(["cuda:0"], [((ICollectives)new SingleRankCollectives(), (IPipelineLink?)null, (IPipelineLink?)null)], rank =>
        {
            var communicator = new NcclCommunicator(() => (library, id), 0, 1, RankGates.None);
            communicator.Bind((IDeviceOps)rank.Ops);
            var (source, target) = (arange(1000, float32, rank.Ops.Device), zeros(1000, device: rank.Ops.Device));
            var (from, to) = ((nint)source.DataPointer(), (nint)target.DataPointer());
            communicator.Run((nccl, handle, stream) =>
            {
                nccl.GroupStart();
                nccl.Send(from, 1000, NcclType.Float32, 0, handle, stream);
                nccl.Receive(to, 1000, NcclType.Float32, 0, handle, stream);
                nccl.GroupEnd();
            });
            rank.Synchronize();
            Assert.True(source.SameAs(target));
            communicator.Abort(new InvalidOperationException("pulled out"));
            Assert.Throws<RankFailedException>(() => communicator.Run((_, _, _) => Assert.Fail("ran")));
            communicator.Dispose();
            return true;
        });
    }

    [Fact]
    public async Task An_abort_ends_a_rank_that_waits_for_one_that_never_connects()
    {
        var id = FakeNccl.Library.CreateUniqueId();
        using var communicator = new NcclCommunicator(() => (FakeNccl.Library, id), 0, 2, RankGates.None);
        communicator.Bind(new HostDevice());
        var waiting = Task.Factory.StartNew(
            () => communicator.Run((_, _, _) => Assert.Fail("ran")), TestContext.Current.CancellationToken, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        Assert.True(SpinWait.SpinUntil(() => FakeNccl.IsConnecting(id), TimeSpan.FromSeconds(30)));
        communicator.Abort(new InvalidOperationException("a node has failed while it loads"));
        var failure = await Assert.ThrowsAsync<RankFailedException>(() => waiting.WaitAsync(TimeSpan.FromSeconds(30), TestContext.Current.CancellationToken));
        Assert.Contains("a node has failed while it loads", failure.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void An_abort_ends_what_waits_for_another_card_inside_nccl()
    {
        CardRanks.Require(2);
        var library = RealLibrary();
        var id = library.CreateUniqueId();
        using var launched = new ManualResetEventSlim();
        using var over = new ManualResetEventSlim();
        NcclCollectives[] groups = [.. Enumerable.Range(0, 2).Select(rank => new NcclCollectives(new(() => (library, id), rank, 2, RankGates.None)))];
        var aborting = new Thread(() =>
        {
            launched.Wait();
            groups[0].Abort(new InvalidOperationException("pulled out"));
        });
        aborting.Start();
        var seconds = CardRanks.Run(["cuda:0", "cuda:1"], [.. groups.Select(group => ((ICollectives)group, (IPipelineLink?)null, (IPipelineLink?)null))], rank =>
        {
            rank.Tensor.AllReduce(zeros(100, device: rank.Ops.Device));
            rank.Synchronize();
            if (rank.Rank == 1)
            {
                over.Wait();
                rank.Tensor.Abort(new InvalidOperationException("pulled out"));
                return 0;
            }

            rank.Tensor.AllReduce(zeros(100, device: rank.Ops.Device));
            var clock = Stopwatch.StartNew();
            launched.Set();
            aborting.Join();
            rank.Synchronize();
            over.Set();
            return clock.Elapsed.TotalSeconds;
        });
        Assert.True(seconds[0] < 2, $"took {seconds[0]} s");
    }

    private static bool SumsInAGraph(CardRank rank)
    {
        var ranks = rank.Tensor.WorldSize;
        foreach (var type in Types)
        {
            using var scope = NewDisposeScope();
            var wide = (arange(24, float32, rank.Ops.Device).view(3, 8) + rank.Rank).to(type);
            Assert.True(cat([.. Enumerable.Range(0, ranks).Select(peer => (arange(24, float32).view(3, 8) + peer).to(type))], 1).SameAs(rank.Tensor.AllGather(wide, 1).cpu()));
            var total = (8 * ranks) - (ranks > 1 ? 3 : 0);
            var mine = rank.Rank == ranks - 1 && ranks > 1 ? wide.narrow(1, 0, 5).contiguous() : wide;
            Assert.True(cat([.. Enumerable.Range(0, ranks).Select(peer => (arange(24, float32).view(3, 8) + peer).to(type))], 1).narrow(1, 0, total).SameAs(rank.Tensor.AllGatherColumns(mine, 8, total).cpu()));
        }

        // Every replay doubles and halves the value; with a single rank it stays the same.
        var value = full(50_000, rank.Rank + 1f, device: rank.Ops.Device);
        var sum = ranks * (ranks + 1) / 2f;
        void Body()
        {
            rank.Tensor.AllReduce(value);
            value.div_(ranks);
        }

        Body();
        rank.Synchronize();
        using var graph = rank.Ops.Capture(Body);
        for (var replay = 0; replay < 100; replay++)
            graph.Launch();
        rank.Synchronize();
        Assert.Equal((sum / ranks, sum / ranks), (value.min().item<float>(), value.max().item<float>()));
        return true;
    }

    private static NcclLibrary RealLibrary()
    {
        if (NcclLibrary.TryLoad(TorchLibrary.Folder) is { } library && library.Path != "fake")
            return library;
        Assert.Skip("no libnccl.so.2");
        return null!;
    }

    private static NcclCommunicator Communicator(NcclLibrary.UniqueId id, int rank, int ranks)
    {
        var communicator = new NcclCommunicator(() => (FakeNccl.Library, id), rank, ranks, RankGates.None);
        communicator.Bind(new HostDevice());
        return communicator;
    }

    private static void OnHost(int ranks, NcclLibrary.UniqueId id, Action<int, ICollectives> work) => RunThreads(ranks, rank =>
    {
        using var group = new NcclCollectives(Communicator(id, rank, ranks));
        work(rank, group);
    });

    private static void RunThreads(int ranks, Action<int> work)
    {
        var failures = new Exception?[ranks];
        var threads = Enumerable.Range(0, ranks).Select(rank => new Thread(() =>
        {
            try
            {
                work(rank);
            }
            catch (Exception failure)
            {
                failures[rank] = failure;
            }
        })).ToList();
        threads.ForEach(thread => thread.Start());
        threads.ForEach(thread => thread.Join());
        if (Array.Find(failures, failure => failure is not null) is { } cause)
            throw new InvalidOperationException($"a rank failed: {cause.Message}", cause);
    }
}
