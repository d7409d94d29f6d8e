using System.Diagnostics;
using LocalLlm.Ops;
using LocalLlm.Ops.Cuda.Ranks;
using LocalLlm.Parallel;
using Xunit;
using static TorchSharp.torch;

namespace LocalLlm.Tests.Ops;

/// <summary>
/// Our own collectives between two ranks, on one card and on two: exact sums in the order of the ranks, at any size, inside graphs.
/// </summary>
public sealed class PeerCollectivesTests
{
    private static readonly ParallelPlan Pair = new(2, 1, 1);
    private static readonly ScalarType[] Types = [ScalarType.Float32, ScalarType.BFloat16, ScalarType.Float16];

    // Numbers of elements: less than an item, whole items, the largest for one shot and the first beyond it, odd and large ones in many
    // chunks.
    private static readonly int[] Sizes = [1, 3, 8, 1536, 4100, 65_536, 131_072, 131_076, 300_001, 6_000_000];

    public static TheoryData<int> Cards => CardRanks.Cards;

    [Theory]
    [MemberData(nameof(Cards))]
    public void Sums_are_exactly_those_of_the_parts_in_the_order_of_the_ranks(int cards) => CardRanks.Run(Pair, CardRanks.Pair(cards), rank =>
    {
        foreach (var type in Types)
        {
            foreach (var size in Sizes)
            {
                using var scope = NewDisposeScope();
                var parts = Parts(size, type);
                var residual = Values(99, size).to(type);
                var sum = parts[0].to(float32) + parts[1].to(float32);
                if (!UsesNccl(rank, size, type))
                {
                    using var mine = parts[rank.Rank].to(rank.Ops.Device);
                    AssertSame(sum.to(type), rank.Tensor.AllReduce(mine), $"{type} {size}");
                }

                var target = residual.to(rank.Ops.Device);
                rank.Tensor.AddAllReduced(target, parts[rank.Rank].to(rank.Ops.Device));
                if (UsesNccl(rank, size, type))
                    Assert.True((target.cpu().to(float32) - (sum + residual.to(float32))).abs().max().item<float>() < 0.1f);
                else
                    AssertSame((sum + residual.to(float32)).to(type), target, $"added {type} {size}");
            }
        }

        return true;
    });

    [Theory]
    [MemberData(nameof(Cards))]
    public void The_norm_of_a_new_residual_is_that_of_a_kernel_of_its_own(int cards) => CardRanks.Run(Pair, CardRanks.Pair(cards), rank =>
    {
        foreach (var type in Types)
        {
            foreach (var (rows, width) in ((int, int)[])[(1, 64), (1, 8192), (3, 3584), (40, 896), (5, 30), (600, 1536)])
            {
                using var scope = NewDisposeScope();
                var parts = Parts(rows * width, type);
                var residual = Values(99, rows * width).to(type).view(rows, width);
                var weight = Values(5, width).to(type).to(rank.Ops.Device);
                var target = residual.to(rank.Ops.Device);
                var normed = ((PeerCollectives)rank.Tensor).AddAllReducedNormed(target, parts[rank.Rank].view(rows, width).to(rank.Ops.Device), weight, 1e-5f).clone();
                if (!UsesNccl(rank, rows * width, type))
                    AssertSame((parts[0].to(float32) + parts[1].to(float32) + residual.to(float32).view(-1)).to(type).view(rows, width), target, $"{type} {rows} x {width}");
                var wanted = rank.Ops.RmsNorm(target, weight, 1e-5f);
                var apart = (normed.to(float32) - wanted.to(float32)).abs().max().item<float>();
                Assert.True(apart <= (type == ScalarType.Float32 ? 1e-4f : 0.05f), $"{type} {rows} x {width}: {apart} apart");
            }
        }

        return true;
    });

    [Theory]
    [MemberData(nameof(Cards))]
    public void Parts_of_equal_and_of_unequal_widths_are_gathered_in_the_order_of_the_ranks(int cards) => CardRanks.Run(Pair, CardRanks.Pair(cards), rank =>
    {
        foreach (var type in Types)
        {
            foreach (var (rows, share, total) in ((int, int, int)[])[(1, 8, 16), (3, 24, 41), (64, 152, 300), (1, 75_968, 151_936), (33, 25_136, 50_257), (300, 4000, 8000)])
            {
                using var scope = NewDisposeScope();
                var whole = Values(7, rows * total).to(type).view(rows, total);
                var mine = whole.narrow(1, rank.Rank * share, rank.Rank == 0 ? share : total - share).contiguous().to(rank.Ops.Device);
                AssertSame(whole, rank.Tensor.AllGatherColumns(mine, share, total), $"{type} {rows} x {total}");
                if (total != 2 * share)
                    continue;
                AssertSame(whole, rank.Tensor.AllGather(mine, 1), $"columns of {type} {rows} x {total}");
                AssertSame(cat([whole.narrow(1, 0, share), whole.narrow(1, share, share)], 0), rank.Tensor.AllGather(mine, 0), $"rows of {type} {rows} x {total}");
            }
        }

        return true;
    });

    // The ranks have equal numbers of rows, unequal ones, or none. Sums in one shot, in chunks and in many; widths of whole packs, and
    // others.
    [Theory]
    [MemberData(nameof(Cards))]
    public void Unequal_numbers_of_rows_are_gathered_and_each_rank_gets_the_sum_of_its_own(int cards) => CardRanks.Run(Pair, CardRanks.Pair(cards), rank =>
    {
        foreach (var type in Types)
        {
            foreach (var (one, other, width) in ((int, int, int)[])[(3, 3, 64), (1, 40, 1536), (0, 5, 896), (700, 9, 896), (300, 0, 1537), (2000, 2001, 1024)])
            {
                using var scope = NewDisposeScope();
                int[] rows = [one, other];
                var (total, first) = (one + other, rank.Rank == 0 ? 0 : one);
                var whole = Values(7, total * width).to(type).view(total, width);
                var own = whole.narrow(0, first, rows[rank.Rank]).contiguous().to(rank.Ops.Device);
                // Twice: what an earlier call left in the buffer must not become a row of this step.
                foreach (var _ in (int[])[1, 2])
                    AssertSame(whole, rank.Tensor.AllGatherRows(own, rows), $"{type} {one} and {other} x {width}");
                var parts = Parts(total * width, type);
                rank.Tensor.AddReducedRows(own, parts[rank.Rank].view(total, width).to(rank.Ops.Device), first);
                var sum = (parts[0].to(float32) + parts[1].to(float32)).view(total, width);
                var wanted = (sum + whole.to(float32)).narrow(0, first, rows[rank.Rank]);
                if (type == ScalarType.Float32)
                    AssertSame(wanted, own, $"added {one} and {other} x {width}");
                else if (rows[rank.Rank] > 0)
                    Assert.True((own.cpu().to(float32) - wanted).abs().max().item<float>() < 0.1f, $"added {type} {one} and {other} x {width}");
            }
        }

        return true;
    });

    [Theory]
    [MemberData(nameof(Cards))]
    public void Ranks_copy_what_the_others_show(int cards) => CardRanks.Run(Pair, CardRanks.Pair(cards), rank =>
    {
        var own = full(1_000_000, -1f, device: rank.Ops.Device);
        for (var round = 0; round < 50; round++)
        {
            using var scope = NewDisposeScope();
            own.fill_((2 * round) + rank.Rank);
            var copies = rank.Tensor.Share(own, all => all.Select(one => one.CopyTo(rank.Ops.Device)).ToArray());
            own.fill_(-1);
            for (var peer = 0; peer < 2; peer++)
            {
                Assert.Equal(rank.Ops.Device.index, copies[peer].device_index);
                Assert.Equal((2f * round) + peer, copies[peer].min().item<float>());
                Assert.Equal((2f * round) + peer, copies[peer].max().item<float>());
            }
        }

        return true;
    });

    [Theory]
    [MemberData(nameof(Cards))]
    public void A_thousand_replays_of_a_graph_give_what_as_many_sums_give(int cards)
    {
        const int replays = 1000, sums = 8;
        var results = CardRanks.Run(Pair, CardRanks.Pair(cards), rank =>
        {
            // The numbers are small, so sums are exact in any order. One shot, chunks, and both in turn.
            var (small, large) = (full(4096, rank.Rank + 1f, device: rank.Ops.Device), full(200_000, rank.Rank + 1f, device: rank.Ops.Device));
            var (smallSum, largeSum) = (zeros(4096, device: rank.Ops.Device), zeros(200_000, device: rank.Ops.Device));
            void Body()
            {
                for (var i = 0; i < sums; i++)
                    rank.Tensor.AddAllReduced(smallSum, small);
                rank.Tensor.AddAllReduced(largeSum, large);
            }

            Body();
            rank.Synchronize();
            using var graph = rank.Ops.Capture(Body);
            for (var i = 0; i < replays; i++)
                graph.Launch();
            rank.Synchronize();
            return (smallSum.min().item<float>(), smallSum.max().item<float>(), largeSum.min().item<float>(), largeSum.max().item<float>());
        });
        var (one, other) = ((replays + 1) * sums * 3f, (replays + 1) * 3f);
        Assert.All(results, result => Assert.Equal((one, one, other, other), result));
    }

    [Theory]
    [InlineData(0xfffffffau)]
    [InlineData(0x3ffffffcu)]
    [InlineData(0x7ffffffcu)]
    public void Sums_stay_right_where_the_numbers_of_messages_wrap(uint first) => CardRanks.Run(Pair, CardRanks.Pair(1), rank =>
    {
        ((PeerCollectives)rank.Tensor).CountFrom(first);
        for (var message = 0; message < 12; message++)
        {
            using var scope = NewDisposeScope();
            var parts = Parts(message % 3 == 0 ? 65_536 : 512 + (8 * message), ScalarType.Float32, message);
            AssertSame(parts[0] + parts[1], rank.Tensor.AllReduce(parts[rank.Rank].to(rank.Ops.Device)), $"message {message}");
        }

        return true;
    });

    [Theory]
    [InlineData(4096)]
    [InlineData(500_000)]
    public void An_abort_ends_a_sum_that_waits_on_the_card_within_a_second(int size)
    {
        // Without gates on the host the sum is launched although the peer never comes.
        var devices = CardRanks.Pair(1);
        var group = new PeerGroup(2, new(2)) { Gates = RankGates.None };
        using var launched = new ManualResetEventSlim();
        using var over = new ManualResetEventSlim();
        var aborting = new Thread(() =>
        {
            launched.Wait();
            group.Abort(new InvalidOperationException("pulled out"));
        });
        aborting.Start();
        var seconds = CardRanks.Run(devices, [(new PeerCollectives(group, 0), null, null), (new PeerCollectives(group, 1), null, null)], rank =>
        {
            if (rank.Rank == 1)
            {
                over.Wait();
                return 0;
            }

            rank.Tensor.AllReduce(zeros(size, device: rank.Ops.Device));
            var clock = Stopwatch.StartNew();
            launched.Set();
            rank.Synchronize();
            over.Set();
            Assert.Contains("pulled out", Assert.Throws<RankFailedException>(() => rank.Tensor.AllReduce(zeros(size, device: rank.Ops.Device))).Message, StringComparison.Ordinal);
            return clock.Elapsed.TotalSeconds;
        });
        aborting.Join();
        Assert.True(seconds[0] < 1, $"took {seconds[0]} s");
    }

    [Theory]
    [MemberData(nameof(Cards))]
    public void A_link_passes_any_size_on_in_order_also_inside_a_graph(int cards)
    {
        var sizes = ((int Rows, int Width)[])[(1, 8), (1, 3584), (3, 5), (700, 3584), (2, 33)];
        CardRanks.Run(new(1, 2, 1), CardRanks.Pair(cards), rank =>
        {
            foreach (var type in Types)
            {
                foreach (var (rows, width) in sizes)
                {
                    using var scope = NewDisposeScope();
                    var hidden = Values(rows, rows * width).to(type).view(rows, width);
                    if (rank.Next is { } next)
                        next.Send(hidden.to(rank.Ops.Device));
                    else
                        AssertSame(hidden, rank.Previous!.Receive(rows, width, type), $"{type} {rows} x {width}");
                }
            }

            // The sender changes what it sends at every replay; the receiver adds up what came.
            var (sent, sum) = (zeros(64, 100, device: rank.Ops.Device), zeros(64, 100, device: rank.Ops.Device));
            void Body()
            {
                if (rank.Next is { } next)
                {
                    sent.add_(1);
                    next.Send(sent);
                }
                else
                {
                    sum.add_(rank.Previous!.Receive(64, 100, float32));
                }
            }

            Body();
            rank.Synchronize();
            using var graph = rank.Ops.Capture(Body);
            for (var replay = 0; replay < 200; replay++)
                graph.Launch();
            rank.Synchronize();
            if (rank.Previous is not null)
                Assert.Equal((201f * 202 / 2, 201f * 202 / 2), (sum.min().item<float>(), sum.max().item<float>()));
            return true;
        });
    }

    // The last of two stages sends. The first has much to compute before it takes a message, and falls behind by as many messages as it has
    // slots.
    [Theory]
    [InlineData(1, true)]
    [InlineData(2, true)]
    [InlineData(2, false)]
    public void Copied_ids_come_in_order_however_far_the_receiver_is_behind(int cards, bool reaches)
    {
        const int slots = 3, messages = 200;
        var shared = new CopiedMessages(slots);
        int? senderCard = reaches ? cards - 1 : null;
        CardRanks.Run(
            CardRanks.Pair(cards),
            [
                (new SingleRankCollectives(), new CopyLink(shared, sends: false, senderCard), null),
                (new SingleRankCollectives(), null, new CopyLink(shared, sends: true, senderCard)),
            ],
            rank =>
            {
                var sampler = rank.Ops.Features.TokenSampler!;
                sampler.Reserve(slots * messages);
                var busy = ones(2048, 2048, device: rank.Ops.Device);
                var sum = zeros(1, ScalarType.Int64, device: rank.Ops.Device);
                for (var message = 1; message <= messages; message++)
                {
                    using var scope = NewDisposeScope();
                    // Each message has more rows, so slots grow while earlier messages in them are still unread.
                    if (rank.Next is { } next)
                    {
                        next.Send(full(40 * message, 1, message, ScalarType.Int32, rank.Ops.Device));
                        continue;
                    }

                    for (var i = 0; i < message % 5; i++)
                        busy.matmul(busy);
                    var ids = rank.Previous!.Receive(40 * message, 1, ScalarType.Int32);
                    sampler.Keep(ids.narrow(0, (40 * message) - 3, 3), 3 * (message % slots));
                    sum.add_(ids.sum());
                }

                rank.Synchronize();
                if (rank.Next is null)
                {
                    Assert.Equal(Enumerable.Range(1, messages).Sum(message => 40L * message * message), sum.item<long>());
                    Assert.Equal([198, 198, 198, 199, 199, 199, 200, 200, 200], sampler.Sampled(9).cpu().data<int>().ToArray());
                }

                return true;
            });
    }

    [Fact]
    public void Few_queues_to_a_card_that_ranks_share_are_refused_by_name()
    {
        var refusal = Assert.Throws<EngineException>(() => GpuRanks.RefuseFewQueues("1", [0, 0]));
        Assert.Equal(EngineErrorKind.Environment, refusal.Kind);
        Assert.Contains("CUDA_DEVICE_MAX_CONNECTIONS is 1", refusal.Message, StringComparison.Ordinal);
        GpuRanks.RefuseFewQueues("1", [0, 1]);
        GpuRanks.RefuseFewQueues("8", [0, 0]);
        GpuRanks.RefuseFewQueues(null, [0, 0]);
    }

    [Fact]
    public void Ranks_of_data_parallel_groups_share_a_card_only_where_there_are_two()
    {
        var (two, four) = (new ParallelPlan(1, 1, 1) { DataParallel = 2 }, new ParallelPlan(2, 1, 1) { DataParallel = 2 });
        GpuRanks.RefuseSharedCards(two, [0, 0]);
        GpuRanks.RefuseSharedCards(four, [0, 1, 2, 3]);
        GpuRanks.RefuseSharedCards(new(2, 2, 1), [0, 0, 1, 1]);
        var refusal = Assert.Throws<EngineException>(() => GpuRanks.RefuseSharedCards(four, [0, 1, 0, 1]));
        Assert.Equal((EngineErrorKind.InvalidOptions, "device"), (refusal.Kind, refusal.Parameter));
        Assert.Contains("of its 4 ranks 2 would run on cuda:0", refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Ranks_on_gpus_and_on_others_at_once_are_refused()
    {
        Assert.Equal(EngineErrorKind.InvalidOptions, Assert.Throws<EngineException>(() => GpuRanks.TryCreate(Pair, 0, ["cuda:0", "cpu"])).Kind);
        Assert.Null(GpuRanks.TryCreate(Pair, 0, ["cpu", "cpu"]));
    }

    // Whether NCCL computes this sum on two cards; it adds in an order of its own.
    private static bool UsesNccl(CardRank rank, long size, ScalarType type) =>
        size * (type == ScalarType.Float32 ? 4 : 2) > PeerCollectives.LargeBytes && ((PeerCollectives)rank.Tensor).HasLarge;

    private static Tensor[] Parts(int size, ScalarType type, int seed = 0) => [Values(2 * seed, size).to(type), Values((2 * seed) + 1, size).to(type)];

    // The same values on every rank, whichever thread asks.
    private static Tensor Values(int seed, int size)
    {
        var random = new Random(seed);
        var values = new float[size];
        for (var i = 0; i < size; i++)
            values[i] = (float)((random.NextDouble() * 4) - 2);
        return tensor(values);
    }

    private static void AssertSame(Tensor expected, Tensor actual, string what)
    {
        var here = actual.cpu();
        Assert.Equal(expected.shape, here.shape);
        Assert.True(expected.SameAs(here), $"{what}: {expected.ne(here).sum().item<long>()} of {expected.numel()} differ");
    }
}
