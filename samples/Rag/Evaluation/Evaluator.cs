using LocalLlm.Samples.Rag.Search;

namespace LocalLlm.Samples.Rag.Evaluation;

/// <summary>Ranks all passages for each query by each kind of score, and measures where the relevant ones stand.</summary>
/// <param name="weights">Of the hybrid score.</param>
/// <param name="cutoffs">The k of recall@k.</param>
/// <param name="ties">What equal scores mean.</param>
internal sealed class Evaluator(HybridWeights weights, IReadOnlyList<int> cutoffs, TieOrder ties = TieOrder.First)
{
    private const int RankLimit = 10;

    private static readonly (string Name, Func<Scores, double> Of)[] s_kinds =
        [("dense", scores => scores.Dense), ("sparse", scores => scores.Sparse), ("multi-vector", scores => scores.MultiVector), ("hybrid", scores => scores.Hybrid)];

    /// <summary>A row for each kind.</summary>
    /// <param name="files">The collection.</param>
    /// <param name="queries">Vectors of its queries, in their order.</param>
    /// <param name="passages">For each passage the vectors of its text, and of its questions where they take part: its score is the best of them.</param>
    /// <param name="cancellationToken">Gives up.</param>
    public IReadOnlyList<EvalRow> Run(BeirFiles files, IReadOnlyList<TextVectors> queries, IReadOnlyList<IReadOnlyList<TextVectors>> passages, CancellationToken cancellationToken)
    {
        var places = files.Passages.Select((passage, index) => (passage.Id, index)).ToDictionary(place => place.Id, place => place.index);
        var relevant = files.Judgements.Where(judgement => judgement.Grade > 0).ToLookup(judgement => judgement.Query);
        // A query without a relevant passage has no right answer.
        var asked = Enumerable.Range(0, queries.Count).Where(index => relevant.Contains(files.Queries[index].Id)).ToArray();
        var measured = new Measures[asked.Length][];
        System.Threading.Tasks.Parallel.For(0, asked.Length, new ParallelOptions { CancellationToken = cancellationToken }, i =>
        {
            var judged = relevant[files.Queries[asked[i]].Id].ToArray();
            measured[i] = Measure(queries[asked[i]], passages, [.. judged.Select(judgement => (places[judgement.Passage], judgement.Grade))]);
        });
        return [.. s_kinds.Select((kind, index) => new EvalRow(
            kind.Name,
            [.. cutoffs.Select((_, k) => measured.Average(query => query[index].Recall[k]))],
            measured.Average(query => query[index].ReciprocalRank),
            measured.Average(query => query[index].Ndcg)))];
    }

    private Measures[] Measure(TextVectors query, IReadOnlyList<IReadOnlyList<TextVectors>> passages, IReadOnlyList<(int Place, double Grade)> relevant)
    {
        var scores = s_kinds.Select(_ => new double[passages.Count]).ToArray();
        for (var i = 0; i < passages.Count; i++)
        {
            for (var kind = 0; kind < scores.Length; kind++)
                scores[kind][i] = double.NegativeInfinity;
            foreach (var vectors in passages[i])
            {
                var fit = Scores.Of(query, vectors, weights);
                for (var kind = 0; kind < scores.Length; kind++)
                    scores[kind][i] = Math.Max(scores[kind][i], s_kinds[kind].Of(fit));
            }
        }

        return [.. s_kinds.Select((_, index) =>
        {
            var ranks = RankingMetrics.Ranks(scores[index], [.. relevant.Select(passage => passage.Place)], ties);
            return new Measures(
                [.. cutoffs.Select(k => RankingMetrics.Recall(ranks, k))],
                RankingMetrics.ReciprocalRank(ranks, RankLimit),
                RankingMetrics.Ndcg([.. ranks.Zip(relevant, (rank, passage) => (rank, passage.Grade))], RankLimit));
        })];
    }

    private sealed record Measures(double[] Recall, double ReciprocalRank, double Ndcg);
}

/// <param name="Kind">The kind of score.</param>
/// <param name="Recall">At each cutoff.</param>
/// <param name="ReciprocalRank">MRR@10.</param>
/// <param name="Ndcg">nDCG@10.</param>
internal sealed record EvalRow(string Kind, IReadOnlyList<double> Recall, double ReciprocalRank, double Ndcg);
