using LocalLlm.Interop;
using LocalLlm.Layers;
using LocalLlm.Ops;
using LocalLlm.Ops.Cpu;
using LocalLlm.Parallel;
using LocalLlm.Sampling;
using LocalLlm.Tests.Parallel;
using LocalLlm.Tests.Sampling;
using Xunit;
using static TorchSharp.torch;

namespace LocalLlm.Tests.Layers;

/// <summary>Ranks gather from split logits only what sampling needs, and the tokens are those of whole rows.</summary>
public class LogitsGatherTests
{
    public LogitsGatherTests() => TorchLibrary.EnsureLoaded();

    // Vocabularies that divide evenly, that leave the last rank fewer columns, and that leave it one column.
    public static TheoryData<int, int, ScalarType> Splits
    {
        get
        {
            var data = new TheoryData<int, int, ScalarType>();
            foreach (var (ranks, vocabulary) in ((int, int)[])[(1, 100), (2, 4072), (2, 4073), (2, 9), (3, 1001), (4, 256), (4, 1017)])
            {
                data.Add(ranks, vocabulary, ScalarType.Float32);
                data.Add(ranks, vocabulary, ScalarType.BFloat16);
            }

            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Splits))]
    public void The_best_token_of_split_rows_is_the_one_that_is_sampled_of_whole_rows(int ranks, int vocabulary, ScalarType type)
    {
        const int rows = 40;
        using var scope = NewDisposeScope();
        var random = new Random(vocabulary + ranks);
        // Rows with few and with many distinct values, with forbidden tokens, and rows that have no token.
        var logits = tensor(Enumerable.Range(0, rows).SelectMany(_ => SamplingKit.Row(random, vocabulary)).ToArray()).view(rows, vocabulary).to(type);
        logits[3].fill_(float.NegativeInfinity);
        logits[5, vocabulary - 1] = float.NaN;
        logits[7, 0] = float.PositiveInfinity;
        logits[9].fill_(-0.0f);
        logits[9, vocabulary - 1] = 0;
        var sampler = new Sampler(vocabulary);
        var greedy = SamplingKit.State(SamplingParams.Greedy, vocabulary);
        var values = logits.to(float32).data<float>().ToArray();
        var wanted = Enumerable.Range(0, rows).Select(row => sampler.SampleRow(values.AsSpan(row * vocabulary, vocabulary), greedy))
            .Select(token => token.Error == SampleError.None ? token.TokenId : ITokenSampler.NonFiniteRow).ToArray();
        Assert.Equal(3, wanted.Count(id => id == ITokenSampler.NonFiniteRow));
        Assert.Equal(wanted, Best(ranks, logits));
    }

    [Fact]
    public void A_tie_across_the_border_of_two_ranks_is_won_by_the_lower_id()
    {
        using var scope = NewDisposeScope();
        var logits = zeros(3, 64);
        foreach (var (row, id) in ((int, int)[])[(0, 31), (0, 32), (1, 63), (1, 40), (1, 31), (2, 32), (2, 63)])
            logits[row, id] = 5;
        Assert.Equal([31, 31, 32], Best(2, logits));
    }

    [Fact]
    public void A_number_that_is_not_finite_leaves_its_row_without_a_token_whichever_rank_has_it()
    {
        using var scope = NewDisposeScope();
        var logits = randn(7, 64);
        var id = 0;
        foreach (var bad in (float[])[float.NaN, float.PositiveInfinity])
        {
            foreach (var column in (int[])[2, 20, 60])
                logits[id++, column] = bad;
        }

        Assert.Equal([-1, -1, -1, -1, -1, -1, (int)logits[6].argmax().item<long>()], Best(4, logits));
    }

    // All logits are negative, so padding with zeros would win.
    [Theory]
    [InlineData(2, 57)]
    [InlineData(4, 101)]
    public void Columns_that_pad_the_last_share_never_win(int ranks, int vocabulary)
    {
        using var scope = NewDisposeScope();
        var logits = rand(3, vocabulary) - 9;
        logits[1, vocabulary - 1] = -1;
        Assert.Equal(logits.argmax(1).data<long>().Select(id => (int)id), Best(ranks, logits));
        var whole = OnRanks(ranks, logits, (gather, part, _) => gather.Whole(part)?.DetachFromDisposeScope());
        using (whole[0])
            Assert.Equal(logits.data<float>().ToArray(), whole[0]!.data<float>().ToArray());
        Assert.All(whole.Skip(1), Assert.Null);
    }

    [Theory]
    [InlineData(ScalarType.Float32)]
    [InlineData(ScalarType.BFloat16)]
    public void Best_tokens_take_a_pair_of_each_rank_and_row_whatever_the_vocabulary_is(ScalarType type)
    {
        using var scope = NewDisposeScope();
        foreach (var vocabulary in (int[])[64, 40_000])
        {
            var calls = OnRanks(4, randn(32, vocabulary).to(type), (gather, part, group) =>
            {
                using var best = gather.Best(part);
                return group.Gathers.Single();
            });
            Assert.All(calls, call => Assert.Equal(32 * 2 * sizeof(float), call.Bytes));
        }
    }

    private static int[] Best(int ranks, Tensor logits)
    {
        var results = OnRanks(ranks, logits, (gather, part, _) => gather.Best(part)?.data<int>().ToArray());
        Assert.All(results.Skip(1), Assert.Null); // only the first rank samples on a host
        return results[0]!;
    }

    // Runs each rank on a thread of its own, with its columns of the logits.
    private static T[] OnRanks<T>(int ranks, Tensor logits, Func<LogitsGather, Tensor, CountedCollectives, T> work)
    {
        var vocabulary = (int)logits.size(1);
        var groups = ThreadCollectives.Create(ranks).Select(group => new CountedCollectives(group)).ToArray();
        var running = groups.Select(group => Task.Factory.StartNew(
            () =>
            {
                using var noGradients = inference_mode();
                using var scope = NewDisposeScope();
                using var ops = new CpuOps();
                var shard = ShardRange.OfVocabulary(vocabulary, group);
                return work(new(group, ops, vocabulary), logits.narrow(1, shard.Start, shard.Length).contiguous(), group);
            },
            TestContext.Current.CancellationToken,
            TaskCreationOptions.LongRunning,
            TaskScheduler.Default)).ToArray();
        Task.WaitAll(running, TestContext.Current.CancellationToken);
        foreach (var group in groups)
            group.Dispose();
        return [.. running.Select(rank => rank.Result)];
    }
}
