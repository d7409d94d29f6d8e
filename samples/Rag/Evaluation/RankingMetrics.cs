namespace LocalLlm.Samples.Rag.Evaluation;

/// <summary>What a ranking is worth (Manning, Raghavan, Schütze, "Introduction to Information Retrieval", chapter 8; nDCG with linear gains, as trec_eval and BEIR).</summary>
internal static class RankingMetrics
{
    /// <summary>The share of the relevant passages among the first k.</summary>
    /// <param name="ranks">The rank of each relevant passage, from 1.</param>
    /// <param name="k">How many are looked at.</param>
    public static double Recall(IReadOnlyList<int> ranks, int k) => (double)ranks.Count(rank => rank <= k) / ranks.Count;

    /// <summary>1 / the rank of the first relevant passage; 0 where it is not among the first k.</summary>
    public static double ReciprocalRank(IReadOnlyList<int> ranks, int k) => ranks.Min() is var first && first <= k ? 1.0 / first : 0;

    /// <summary>The gain of the relevant passages among the first k, each discounted by its rank, over that of the best ranking.</summary>
    /// <param name="relevant">Rank and grade of each relevant passage.</param>
    /// <param name="k">How many are looked at.</param>
    public static double Ndcg(IReadOnlyList<(int Rank, double Grade)> relevant, int k)
    {
        var gain = relevant.Where(passage => passage.Rank <= k).Sum(passage => passage.Grade / Math.Log2(passage.Rank + 1));
        var best = relevant.Select(passage => passage.Grade).OrderDescending().Take(k).Select((grade, index) => grade / Math.Log2(index + 2)).Sum();
        return gain / best;
    }

    /// <summary>
    /// Ranks of the relevant passages by their scores: 1 + the number of irrelevant ones that score higher + the number of relevant ones before it. Irrelevant ones of the same score count as lower or as higher.
    /// </summary>
    /// <param name="scores">The score of every passage.</param>
    /// <param name="relevant">Places of the relevant passages in <paramref name="scores"/>.</param>
    /// <param name="ties">What equal scores mean.</param>
    public static int[] Ranks(double[] scores, IReadOnlyList<int> relevant, TieOrder ties)
    {
        var isRelevant = relevant.ToHashSet();
        var ranks = new int[relevant.Count];
        foreach (var (place, before) in Enumerable.Range(0, relevant.Count).OrderByDescending(place => scores[relevant[place]]).Select((place, before) => (place, before)))
        {
            var score = scores[relevant[place]];
            var ahead = 0;
            for (var i = 0; i < scores.Length; i++)
            {
                if ((scores[i] > score || (scores[i] == score && ties == TieOrder.Last)) && !isRelevant.Contains(i))
                    ahead++;
            }

            ranks[place] = 1 + ahead + before;
        }

        return ranks;
    }
}

/// <summary>Where a relevant passage stands among irrelevant ones of the same score.</summary>
internal enum TieOrder
{
    /// <summary>Before them: only strictly higher scores count, as the model's own figures do.</summary>
    First,

    /// <summary>Behind them: a passage that shares no token with the query is the last of a sparse search, not the first.</summary>
    Last,
}
