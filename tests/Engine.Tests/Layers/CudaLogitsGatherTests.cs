using LocalLlm.Layers;
using LocalLlm.Ops;
using LocalLlm.Parallel;
using LocalLlm.Tests.Ops;
using Xunit;
using static TorchSharp.torch;

namespace LocalLlm.Tests.Layers;

/// <summary>All ranks on GPUs get the best tokens of split rows, and the whole rows, whichever connection they have.</summary>
public sealed class CudaLogitsGatherTests
{
    public static TheoryData<int> Cards => CardRanks.Cards;

    // Vocabularies that divide evenly and that do not; numbers of rows on both sides of the limit beyond which our own kernels are not
    // used.
    [Theory]
    [MemberData(nameof(Cards))]
    public void Every_rank_gets_the_tokens_and_the_rows_that_one_rank_has(int cards)
    {
        (int Rows, int Vocabulary)[] shapes = [(1, 4072), (3, 4073), (32, 50_257), (7, 151_936), (64, 151_936)];
        var results = CardRanks.Run(new ParallelPlan(2, 1, 1), CardRanks.Pair(cards), rank =>
        {
            var ids = new List<int>();
            foreach (var (rows, vocabulary) in shapes)
            {
                foreach (var type in (ScalarType[])[ScalarType.Float32, CardTypes.Half])
                {
                    using var scope = NewDisposeScope();
                    var whole = Logits(rows, vocabulary).to(type);
                    var shard = ShardRange.OfVocabulary(vocabulary, rank.Tensor);
                    var gather = new LogitsGather(rank.Tensor, rank.Ops, vocabulary);
                    var own = whole.narrow(1, shard.Start, shard.Length).contiguous().to(rank.Ops.Device);
                    var best = gather.Best(own)!;
                    // In float32, pairs and then rows are gathered into the same buffer.
                    var gathered = gather.Whole(own)!.cpu();
                    Assert.True(whole.SameAs(gathered), $"{rows} x {vocabulary} {type}");
                    var chosen = best.cpu().data<int>().ToArray();
                    Assert.Equal(whole.to(float32).argmax(1).data<long>().Select(id => (int)id), chosen);
                    ids.AddRange(chosen);
                }
            }

            return ids;
        });
        Assert.Equal(results[0], results[1]);
    }

    [Theory]
    [MemberData(nameof(Cards))]
    public void The_lower_id_wins_a_tie_across_ranks_and_a_non_finite_row_has_no_token(int cards)
    {
        var results = CardRanks.Run(new ParallelPlan(2, 1, 1), CardRanks.Pair(cards), rank =>
        {
            using var scope = NewDisposeScope();
            var whole = zeros(5, 4073);
            whole[0, 2039] = whole[0, 2040] = whole[0, 4072] = 3;
            whole[1, 2040] = whole[1, 4000] = 3;
            whole[2, 4072] = float.NaN;
            whole[3, 0] = float.PositiveInfinity;
            whole[4].fill_(float.NegativeInfinity);
            var shard = ShardRange.OfVocabulary(4073, rank.Tensor);
            var own = whole.narrow(1, shard.Start, shard.Length).contiguous().to(rank.Ops.Device);
            return new LogitsGather(rank.Tensor, rank.Ops, 4073).Best(own)!.cpu().data<int>().ToArray();
        });
        const int none = ITokenSampler.NonFiniteRow;
        Assert.All(results, ids => Assert.Equal([2039, 2040, none, none, none], ids));
    }

    // The logits are the same on both ranks; some values are equal.
    private static Tensor Logits(int rows, int vocabulary)
    {
        var random = new Random(rows + vocabulary);
        return tensor(Enumerable.Range(0, rows * vocabulary).Select(_ => (float)random.Next(-900, 900) / 64).ToArray()).view(rows, vocabulary);
    }
}
