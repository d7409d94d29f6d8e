using System.Collections.Concurrent;
using LocalLlm.Interop;
using LocalLlm.Parallel;
using Xunit;
using static TorchSharp.torch;

namespace LocalLlm.Tests.Parallel;

/// <summary>Threads of one process as ranks.</summary>
public class ThreadCollectivesTests
{
    // Sums in one phase, on both sides of its size limit, and in two phases; sizes that are not whole vectors.
    public static TheoryData<int, int, ScalarType> Sums
    {
        get
        {
            var data = new TheoryData<int, int, ScalarType>();
            foreach (var ranks in (int[])[2, 3, 4])
            {
                foreach (var size in (int[])[1, 17, 2_048, 16_384, 16_385, 100_003])
                {
                    data.Add(ranks, size, ScalarType.Float32);
                    data.Add(ranks, size, ScalarType.BFloat16);
                }
            }

            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Sums))]
    public void Every_rank_gets_the_sum_in_the_order_of_the_ranks(int ranks, int size, ScalarType type)
    {
        var random = new Random(size + ranks);
        var rounds = Enumerable.Range(0, 5).Select(_ => Enumerable.Range(0, ranks).Select(_ => Values(random, size, type)).ToArray()).ToArray();
        var residual = Values(random, size, type);
        var results = OnRanks(ranks, group => rounds.Select(parts =>
        {
            using var scope = NewDisposeScope();
            using var sum = group.AllReduce(tensor(parts[group.Rank]).to(type));
            using var total = tensor(residual).to(type);
            group.AddAllReduced(total, tensor(parts[group.Rank]).to(type));
            return (Sum: Floats(sum), Total: Floats(total));
        }).ToArray());
        for (var round = 0; round < rounds.Length; round++)
        {
            var sum = Enumerable.Range(0, size).Select(i => Rounded(rounds[round].Select(part => part[i]).Aggregate((a, b) => a + b), type)).ToArray();
            var total = sum.Zip(residual, (a, b) => Rounded(b + a, type)).ToArray();
            foreach (var rank in results)
            {
                Assert.Equal(sum, rank[round].Sum);
                Assert.Equal(total, rank[round].Total);
            }
        }
    }

    [Theory]
    [InlineData(2)]
    [InlineData(4)]
    public void Gathered_parts_stand_in_the_order_of_the_ranks(int ranks)
    {
        var results = OnRanks(ranks, group =>
        {
            using var scope = NewDisposeScope();
            var part = arange(6, ScalarType.Float32).view(2, 3) + (100 * group.Rank);
            var columns = group.AllGather(part, 1);
            var rows = group.AllGather(part, 0);
            var root = group.Gather(part, 1);
            Assert.Equal([2, 3 * ranks], columns.shape);
            Assert.Equal([2 * ranks, 3], rows.shape);
            return (Floats(columns), Floats(rows), Root: root is null ? null : Floats(root));
        });
        var wantedRows = Enumerable.Range(0, ranks).SelectMany(rank => Enumerable.Range(0, 6).Select(i => i + (100f * rank))).ToArray();
        var wantedColumns = Enumerable.Range(0, 2).SelectMany(row =>
            Enumerable.Range(0, ranks).SelectMany(rank => Enumerable.Range(3 * row, 3).Select(i => i + (100f * rank)))).ToArray();
        Assert.All(results, result => Assert.Equal(wantedColumns, result.Item1));
        Assert.All(results, result => Assert.Equal(wantedRows, result.Item2));
        Assert.Equal(wantedColumns, results[0].Root);
        Assert.All(results.Skip(1), result => Assert.Null(result.Root));
    }

    // Rows of each rank; a rank may have none.
    [Theory]
    [InlineData(ScalarType.Float32, 3, 1)]
    [InlineData(ScalarType.BFloat16, 3, 1)]
    [InlineData(ScalarType.Float32, 0, 5, 2)]
    [InlineData(ScalarType.BFloat16, 2, 0, 0, 7)]
    [InlineData(ScalarType.Float32, 400, 1, 300)]
    public void Rows_are_exchanged_as_the_plain_operations_do(ScalarType type, params int[] rows)
    {
        const int width = 37;
        var random = new Random(rows.Sum());
        var own = rows.Select(count => Values(random, count * width, type)).ToArray();
        var parts = rows.Select(_ => Values(random, rows.Sum() * width, type)).ToArray();
        var results = OnRanks(rows.Length, group =>
        {
            using var scope = NewDisposeScope();
            var rank = group.Rank;
            var first = rows[..rank].Sum();
            var (fast, plain) = (Rows(own[rank], rows[rank]), Rows(own[rank], rows[rank]));
            var gathered = group.AllGatherRows(fast, rows);
            group.AddReducedRows(fast, Rows(parts[rank], rows.Sum()), first);
            ICollectives padded = new PaddedRows(group);
            var gatheredPlainly = padded.AllGatherRows(plain, rows);
            padded.AddReducedRows(plain, Rows(parts[rank], rows.Sum()), first);
            return (Gathered: Floats(gathered), GatheredPlainly: Floats(gatheredPlainly), Added: Floats(fast), AddedPlainly: Floats(plain));
        });
        var wanted = own.SelectMany(values => values).ToArray();
        for (var rank = 0; rank < rows.Length; rank++)
        {
            Assert.Equal(wanted, results[rank].Gathered);
            Assert.Equal(wanted, results[rank].GatheredPlainly);
            Assert.Equal(results[rank].AddedPlainly, results[rank].Added);
            var sum = Enumerable.Range(rows[..rank].Sum() * width, rows[rank] * width)
                .Select(i => Rounded(parts.Select(part => part[i]).Aggregate((a, b) => a + b), type));
            Assert.Equal(sum.Zip(own[rank], (a, b) => Rounded(a + b, type)), results[rank].Added);
        }

        Tensor Rows(float[] values, int count) => tensor(values).to(type).view(count, width);
    }

    [Fact]
    public void What_ranks_show_each_other_stays_until_all_have_looked()
    {
        var results = OnRanks(3, group =>
        {
            var seen = new List<string>();
            for (var round = 0; round < 200; round++)
            {
                var own = new[] { $"{group.Rank}:{round}" };
                seen.Add(group.Share(own, all => string.Join(' ', all.Select(one => one[0]))));
                own[0] = "changed";
            }

            return seen;
        });
        var wanted = Enumerable.Range(0, 200).Select(round => $"0:{round} 1:{round} 2:{round}");
        Assert.All(results, seen => Assert.Equal(wanted, seen));
    }

    [Fact]
    public void Only_ranks_of_one_process_show_each_other_what_they_have()
    {
        ICollectives alone = new SingleRankCollectives();
        Assert.Equal("own", alone.Share("own", all => all.Single()));
        ICollectives planned = new PlannedCollectives(0, 2);
        Assert.Throws<NotSupportedException>(() => planned.Share("own", all => all.Count));
    }

    // A group that implements only sums and gathers of tensors of equal shape.
    private sealed class PaddedRows(ICollectives inner) : ICollectives
    {
        public int Rank => inner.Rank;

        public int WorldSize => inner.WorldSize;

        public Tensor AllReduce(Tensor tensor) => inner.AllReduce(tensor);

        public Tensor AllGather(Tensor tensor, int dimension) => inner.AllGather(tensor, dimension);

        public void Abort(Exception reason) => inner.Abort(reason);

        public void Dispose()
        {
            // The group belongs to its creator.
        }
    }

    [Theory]
    [InlineData(64)]
    [InlineData(100_000)]
    public async Task A_rank_that_waits_is_ended_from_another_thread(int size)
    {
        TorchLibrary.EnsureLoaded();
        var group = ThreadCollectives.Create(2);
        var waiting = Task.Factory.StartNew(() =>
        {
            using var values = zeros(size);
            group[0].AllReduce(values);
        }, TestContext.Current.CancellationToken, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        group[1].Abort(new InvalidOperationException("the card fell off"));
        group[1].Abort(new InvalidOperationException("and so on"));
        var failure = await Assert.ThrowsAsync<RankFailedException>(() => waiting.WaitAsync(TimeSpan.FromMinutes(1), TestContext.Current.CancellationToken));
        Assert.Contains("the card fell off", failure.Message, StringComparison.Ordinal);
        using var later = zeros(size);
        Assert.Throws<RankFailedException>(() => group[1].AllReduce(later));
    }

    [Fact]
    public async Task A_group_that_is_aborted_while_its_ranks_use_one_anothers_tensors_frees_none_of_them_too_early()
    {
        TorchLibrary.EnsureLoaded();
        var random = new Random(5);
        for (var round = 0; round < 40; round++)
        {
            var group = ThreadCollectives.Create(3);
            var started = new CountdownEvent(3);
            var ranks = group.Select(rank => Task.Factory.StartNew(() =>
            {
                for (var i = 0; ; i++)
                {
                    using var scope = NewDisposeScope();
                    var sum = rank.AllReduce(ones(30_000));
                    Assert.Equal(3, sum[29_999].item<float>());
                    rank.AllGather(ones(20_000), 0);
                    if (i == 0)
                        started.Signal();
                }
            }, TestContext.Current.CancellationToken, TaskCreationOptions.LongRunning, TaskScheduler.Default)).ToArray();
            started.Wait(TestContext.Current.CancellationToken);
            for (var spins = random.Next(2_000); spins > 0; spins--)
                Thread.SpinWait(10);
            group[round % 3].Abort(new InvalidOperationException("enough"));
            foreach (var rank in ranks)
                await Assert.ThrowsAsync<RankFailedException>(() => rank.WaitAsync(TimeSpan.FromMinutes(1), TestContext.Current.CancellationToken));
            foreach (var rank in group)
                rank.Dispose();
        }
    }

    [Fact]
    public void Not_a_number_stays_one_in_bfloat16()
    {
        var results = OnRanks(2, group =>
        {
            using var scope = NewDisposeScope();
            return Floats(group.AllReduce(tensor(Enumerable.Repeat(float.NaN, 40).ToArray()).to(ScalarType.BFloat16)));
        });
        Assert.All(results, result => Assert.All(result, value => Assert.True(float.IsNaN(value))));
    }

    [Fact]
    public void A_type_that_no_rank_on_a_CPU_computes_in_is_refused()
    {
        var group = ThreadCollectives.Create(1);
        using var half = zeros(4, ScalarType.Float16);
        Assert.Throws<NotSupportedException>(() => group[0].AllReduce(half));
    }

    internal static T[] OnRanks<T>(int ranks, Func<ICollectives, T> work)
    {
        TorchLibrary.EnsureLoaded();
        var group = ThreadCollectives.Create(ranks);
        var results = new T[ranks];
        var failures = new ConcurrentBag<Exception>();
        var threads = group.Select(rank => new Thread(() =>
        {
            try
            {
                results[rank.Rank] = work(rank);
            }
            catch (Exception failure)
            {
                failures.Add(failure);
                rank.Abort(failure);
            }
        })).ToArray();
        Array.ForEach(threads, thread => thread.Start());
        Array.ForEach(threads, thread => thread.Join());
        foreach (var rank in group)
            rank.Dispose();
        Assert.Empty(failures);
        return results;
    }

    private static float[] Values(Random random, int size, ScalarType type) =>
        [.. Enumerable.Range(0, size).Select(_ => Rounded((random.NextSingle() - 0.5f) * 8, type))];

    private static float Rounded(float value, ScalarType type)
    {
        if (type == ScalarType.Float32)
            return value;
        var bits = BitConverter.SingleToUInt32Bits(value);
        return BitConverter.UInt32BitsToSingle((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16 << 16);
    }

    private static float[] Floats(Tensor values) => values.to(ScalarType.Float32).flatten().data<float>().ToArray();
}
