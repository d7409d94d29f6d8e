namespace LocalLlm.Samples.Rag.Evaluation;

/// <summary>
/// What a ranking is worth (Manning, Raghavan, Schütze, "Introduction to Information Retrieval", chapter 8; nDCG with linear gains, as
/// trec_eval and BEIR). Where scores are equal: the mean over all orders of the places that they share.
/// </summary>
internal static class RankingMetrics
{
    /// <summary>The share of the relevant passages among the first k.</summary>
    /// <param name="groups">Where the relevant passages stand, best first.</param>
    /// <param name="k">How many are looked at.</param>
    public static double Recall(IReadOnlyList<RankGroup> groups, int k) =>
        groups.Sum(group => (double)group.Grades.Count * Math.Clamp(k - group.Ahead, 0, group.Size) / group.Size) / groups.Sum(group => group.Grades.Count);

    /// <summary>1 / the rank of the first relevant passage; 0 where it is not among the first k.</summary>
    public static double ReciprocalRank(IReadOnlyList<RankGroup> groups, int k)
    {
        var (first, sum, none) = (groups[0], 0.0, 1.0);
        // none: how likely no relevant passage has come yet in the group; the next place has one with relevant / places left.
        for (var place = 0; place <= first.Size - first.Grades.Count && first.Ahead + place < k; place++)
        {
            var here = (double)first.Grades.Count / (first.Size - place);
            sum += none * here / (first.Ahead + place + 1);
            none *= 1 - here;
        }

        return sum;
    }

    /// <summary>The gain of the relevant passages among the first k, each discounted by its rank, over that of the best ranking.</summary>
    public static double Ndcg(IReadOnlyList<RankGroup> groups, int k)
    {
        var gain = groups.Sum(group => group.Grades.Sum() / group.Size * Enumerable.Range(group.Ahead + 1, Math.Clamp(k - group.Ahead, 0, group.Size)).Sum(rank => 1 / Math.Log2(rank + 1)));
        var best = groups.SelectMany(group => group.Grades).OrderDescending().Take(k).Select((grade, index) => grade / Math.Log2(index + 2)).Sum();
        return gain / best;
    }

    /// <summary>
    /// The places of the relevant passages by their scores, best first: those of one score share the places of all passages of that score,
    /// or the first or the last of them.
    /// </summary>
    /// <param name="scores">The score of every passage.</param>
    /// <param name="relevant">Places of the relevant passages in <paramref name="scores"/>, and their grades.</param>
    /// <param name="ties">What equal scores mean.</param>
    public static RankGroup[] Rank(double[] scores, IReadOnlyList<(int Place, double Grade)> relevant, TieOrder ties) =>
    [
        .. relevant.GroupBy(passage => scores[passage.Place], passage => passage.Grade).OrderByDescending(group => group.Key).Select(group =>
        {
            var grades = group.ToArray();
            var (ahead, equal) = (scores.Count(score => score > group.Key), scores.Count(score => score == group.Key));
            return ties switch
            {
                TieOrder.First => new RankGroup(ahead, grades.Length, grades),
                TieOrder.Last => new RankGroup(ahead + equal - grades.Length, grades.Length, grades),
                _ => new RankGroup(ahead, equal, grades),
            };
        }),
    ];
}

/// <summary>Relevant passages of one score, which stand anywhere among some places in turn.</summary>
/// <param name="Ahead">How many passages are before all these places.</param>
/// <param name="Size">How many places.</param>
/// <param name="Grades">Of the relevant passages.</param>
internal sealed record RankGroup(int Ahead, int Size, IReadOnlyList<double> Grades);

/// <summary>Where a relevant passage stands among irrelevant ones of the same score.</summary>
internal enum TieOrder
{
    /// <summary>
    /// Anywhere: the mean over all orders. A search that gives all passages the same score is worth what chance is worth.
    /// </summary>
    Mean,

    /// <summary>
    /// Before them: only strictly higher scores count, as the shipped embedding model's own figures do. A search that finds nothing seems
    /// perfect.
    /// </summary>
    First,

    /// <summary>Behind them: a passage that shares no token with the query is the last of a sparse search.</summary>
    Last,
}
