using LocalLlm.Samples.Rag.Evaluation;
using Xunit;

namespace LocalLlm.Samples.Rag.Tests.Evaluation;

/// <summary>Against values computed by hand.</summary>
public sealed class RankingMetricsTests
{
    [Fact]
    public void Recall_is_the_share_of_relevant_passages_within_k()
    {
        Assert.Equal(0, RankingMetrics.Recall([3, 7], 2));
        Assert.Equal(0.5, RankingMetrics.Recall([3, 7], 3));
        Assert.Equal(1, RankingMetrics.Recall([3, 7], 7));
    }

    [Fact]
    public void Reciprocal_rank_is_that_of_the_first_relevant_passage()
    {
        Assert.Equal(0.25, RankingMetrics.ReciprocalRank([9, 4], 10));
        Assert.Equal(0, RankingMetrics.ReciprocalRank([11], 10));
    }

    [Fact]
    public void Ndcg_weighs_grades_by_the_logarithm_of_their_ranks()
    {
        Assert.Equal(1, RankingMetrics.Ndcg([(1, 1)], 10));
        Assert.Equal(0.63093, RankingMetrics.Ndcg([(2, 1)], 10), 5);
        // DCG = 3 / log2(3) + 2 / log2(4) = 1.89279 + 1; the best: 3 / log2(2) + 2 / log2(3) = 3 + 1.26186.
        Assert.Equal(2.89279 / 4.26186, RankingMetrics.Ndcg([(2, 3), (3, 2)], 10), 5);
        // A relevant passage beyond k is lost, though the best ranking would show it.
        Assert.Equal(1 / 1.63093, RankingMetrics.Ndcg([(1, 1), (11, 1)], 10), 5);
    }

    [Fact]
    public void Equal_scores_count_as_lower_or_as_higher()
    {
        double[] scores = [0.5, 0.9, 0.5, 0.5, 0.1];
        Assert.Equal([2], RankingMetrics.Ranks(scores, [2], TieOrder.First));
        Assert.Equal([4], RankingMetrics.Ranks(scores, [2], TieOrder.Last));
        Assert.Equal([2, 3, 1], RankingMetrics.Ranks(scores, [0, 3, 1], TieOrder.First));
        Assert.Equal([3, 4, 1], RankingMetrics.Ranks(scores, [0, 3, 1], TieOrder.Last));
        Assert.Equal([1, 2, 3, 4, 5], RankingMetrics.Ranks([0, 0, 0, 0, 0], [0, 1, 2, 3, 4], TieOrder.Last));
    }
}
