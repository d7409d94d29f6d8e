using LocalLlm.Samples.Rag.Evaluation;
using Xunit;

namespace LocalLlm.Samples.Rag.Tests.Evaluation;

/// <summary>Compares the metrics with values computed by hand.</summary>
public sealed class RankingMetricsTests
{
    [Fact]
    public void Recall_is_the_share_of_relevant_passages_within_k()
    {
        var groups = At((3, 1), (7, 1));
        Assert.Equal(0, RankingMetrics.Recall(groups, 2));
        Assert.Equal(0.5, RankingMetrics.Recall(groups, 3));
        Assert.Equal(1, RankingMetrics.Recall(groups, 7));
    }

    [Fact]
    public void Reciprocal_rank_is_that_of_the_first_relevant_passage()
    {
        Assert.Equal(0.25, RankingMetrics.ReciprocalRank(At((4, 1), (9, 1)), 10));
        Assert.Equal(0, RankingMetrics.ReciprocalRank(At((11, 1)), 10));
    }

    [Fact]
    public void Ndcg_weighs_grades_by_the_logarithm_of_their_ranks()
    {
        Assert.Equal(1, RankingMetrics.Ndcg(At((1, 1)), 10));
        Assert.Equal(0.63093, RankingMetrics.Ndcg(At((2, 1)), 10), 5);
        // DCG = 3 / log2(3) + 2 / log2(4) = 1.89279 + 1; the best: 3 / log2(2) + 2 / log2(3) = 3 + 1.26186.
        Assert.Equal(2.89279 / 4.26186, RankingMetrics.Ndcg(At((2, 3), (3, 2)), 10), 5);
        // A relevant passage beyond k is lost, though the best ranking would show it.
        Assert.Equal(1 / 1.63093, RankingMetrics.Ndcg(At((1, 1), (11, 1)), 10), 5);
    }

    [Theory]
    [InlineData(nameof(TieOrder.First), 1, 1)]
    [InlineData(nameof(TieOrder.Mean), 1, 3)]
    [InlineData(nameof(TieOrder.Last), 3, 1)]
    public void Equal_scores_count_as_lower_as_higher_or_as_any(string ties, int ahead, int size)
    {
        var group = Assert.Single(RankingMetrics.Rank([0.5, 0.9, 0.5, 0.5, 0.1], [(2, 1)], Enum.Parse<TieOrder>(ties)));
        Assert.Equal((ahead, size), (group.Ahead, group.Size));
    }

    /// <summary>Compares with the mean over every order, computed one by one.</summary>
    [Fact]
    public void The_mean_over_ties_is_that_over_all_orders()
    {
        double[] scores = [0.5, 0.9, 0.5, 0.5, 0.5, 0.1];
        (int Place, double Grade)[] relevant = [(0, 3), (3, 1), (5, 2)];
        var groups = RankingMetrics.Rank(scores, relevant, TieOrder.Mean);
        int[] tied = [0, 2, 3, 4];
        var orders = (from a in tied from b in tied.Except([a]) from c in tied.Except([a, b]) from d in tied.Except([a, b, c]) select (int[])[1, a, b, c, d, 5]).ToArray();
        var strict = orders.Select(order => At([.. relevant.Select(passage => (Array.IndexOf(order, passage.Place) + 1, passage.Grade)).Order()])).ToArray();
        Assert.Equal(24, orders.Length);
        foreach (var k in Enumerable.Range(1, 6))
        {
            Assert.Equal(strict.Average(order => RankingMetrics.Recall(order, k)), RankingMetrics.Recall(groups, k), 12);
            Assert.Equal(strict.Average(order => RankingMetrics.ReciprocalRank(order, k)), RankingMetrics.ReciprocalRank(groups, k), 12);
            Assert.Equal(strict.Average(order => RankingMetrics.Ndcg(order, k)), RankingMetrics.Ndcg(groups, k), 12);
        }
    }

    private static RankGroup[] At(params (int Rank, double Grade)[] passages) => [.. passages.Select(passage => new RankGroup(passage.Rank - 1, 1, [passage.Grade]))];
}
