namespace LocalLlm.Samples.Rag.Evaluation;

/// <summary>
/// Metrics of a ranking (Manning, Raghavan, Schütze, "Introduction to Information Retrieval", chapter 8; nDCG with linear gains, as in
/// trec_eval and BEIR). For passages of equal score: the mean over all orders of the ranks that they share.
/// </summary>
internal static class RankingMetrics
{
    /// <summary>The share of the relevant passages among the first k.</summary>
    /// <param name="groups">The ranks of the relevant passages, best first.</param>
    /// <param name="k">How many passages count.</param>
    public static double Recall(IReadOnlyList<RankGroup> groups, int k) =>
        groups.Sum(group => (double)group.Grades.Count * Math.Clamp(k - group.Ahead, 0, group.Size) / group.Size) / groups.Sum(group => group.Grades.Count);

    /// <summary>1 / the rank of the first relevant passage; 0 if it is not among the first k.</summary>
    public static double ReciprocalRank(IReadOnlyList<RankGroup> groups, int k)
    {
        var (first, sum, none) = (groups[0], 0.0, 1.0);
        // none: the probability that no earlier rank of the group has a relevant passage; the next has one with probability relevant /
        // ranks left.
        for (var place = 0; place <= first.Size - first.Grades.Count && first.Ahead + place < k; place++)
        {
            var here = (double)first.Grades.Count / (first.Size - place);
            sum += none * here / (first.Ahead + place + 1);
            none *= 1 - here;
        }

        return sum;
    }

    /// <summary>The gain of the relevant passages among the first k, each discounted by its rank, divided by that of the best
    /// ranking.</summary>
    public static double Ndcg(IReadOnlyList<RankGroup> groups, int k)
    {
        var gain = groups.Sum(group => group.Grades.Sum() / group.Size * Enumerable.Range(group.Ahead + 1, Math.Clamp(k - group.Ahead, 0, group.Size)).Sum(rank => 1 / Math.Log2(rank + 1)));
        var best = groups.SelectMany(group => group.Grades).OrderDescending().Take(k).Select((grade, index) => grade / Math.Log2(index + 2)).Sum();
        return gain / best;
    }

    /// <summary>
    /// The ranks of the relevant passages by their scores, best first. Relevant passages of one score share the ranks of all passages of
    /// that score, or take the first or the last of these ranks.
    /// </summary>
    /// <param name="scores">The score of every passage.</param>
    /// <param name="relevant">Indices of the relevant passages in <paramref name="scores"/>, and their grades.</param>
    /// <param name="ties">How passages of equal score are ranked.</param>
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

/// <summary>Relevant passages of one score; every placement among the group's ranks counts equally.</summary>
/// <param name="Ahead">The number of passages before the group.</param>
/// <param name="Size">The number of ranks.</param>
/// <param name="Grades">The grades of the relevant passages.</param>
internal sealed record RankGroup(int Ahead, int Size, IReadOnlyList<double> Grades);

/// <summary>Where a relevant passage ranks among irrelevant ones of the same score.</summary>
internal enum TieOrder
{
    /// <summary>
    /// Anywhere: the mean over all orders. A search that gives all passages the same score is worth no more than chance.
    /// </summary>
    Mean,

    /// <summary>
    /// Before them: only strictly higher scores count, as in the shipped embedding model's own figures. A search that finds nothing seems
    /// perfect.
    /// </summary>
    First,

    /// <summary>After them: in a sparse search a passage that shares no token with the query ranks last.</summary>
    Last,
}
