using LocalLlm.Samples.Rag.Search;

namespace LocalLlm.Samples.Rag.Evaluation;

/// <summary>Ranks all passages for each query by each kind of score, and measures at which ranks the relevant ones stand.</summary>
/// <param name="weights">The weights of the hybrid score.</param>
/// <param name="cutoffs">The values of k for recall@k.</param>
/// <param name="ties">How passages of equal score are ranked.</param>
internal sealed class Evaluator(HybridWeights weights, IReadOnlyList<int> cutoffs, TieOrder ties = TieOrder.Mean)
{
    private const int RankLimit = 10;

    private static readonly Kind[] s_kinds =
    [
        new("dense", scores => scores.Dense, vectors => vectors.Dense.Length > 0),
        new("sparse", scores => scores.Sparse, vectors => vectors.SparseTokens.Length > 0),
        new("multi-vector", scores => scores.MultiVector, vectors => vectors.TokenVectors.Length > 0),
        new("hybrid", scores => scores.Hybrid, _ => true),
    ];

    /// <summary>The number of queries without a passage that is judged relevant: they have no right answer, and are not measured.</summary>
    public static int Unjudged(BeirFiles files)
    {
        var judged = files.Judgements.Where(judgement => judgement.Grade > 0).Select(judgement => judgement.Query).ToHashSet();
        return files.Queries.Count(query => !judged.Contains(query.Id));
    }

    /// <summary>Returns a row for each kind of score that the model supports.</summary>
    /// <param name="files">The collection.</param>
    /// <param name="queries">The vectors of its queries, in their order.</param>
    /// <param name="passages">For each passage the vectors of its text, and of its questions if they take part. Its score is the best of
    /// all these.</param>
    /// <param name="cancellationToken">Stops the work.</param>
    public IReadOnlyList<EvalRow> Run(BeirFiles files, IReadOnlyList<TextVectors> queries, IReadOnlyList<IReadOnlyList<TextVectors>> passages, CancellationToken cancellationToken)
    {
        var places = files.Passages.Select((passage, index) => (passage.Id, index)).ToDictionary(place => place.Id, place => place.index);
        var relevant = files.Judgements.Where(judgement => judgement.Grade > 0).ToLookup(judgement => judgement.Query);
        var asked = Enumerable.Range(0, queries.Count).Where(index => relevant.Contains(files.Queries[index].Id)).ToArray();
        // A kind that the model does not support scores 0 everywhere; its figures would measure only chance.
        var kinds = s_kinds.Where(kind => passages.Any(passage => passage.Any(kind.Has))).ToArray();
        var measured = new Measures[asked.Length][];
        System.Threading.Tasks.Parallel.For(0, asked.Length, new ParallelOptions { CancellationToken = cancellationToken }, i =>
        {
            var judged = relevant[files.Queries[asked[i]].Id].ToArray();
            measured[i] = Measure(kinds, queries[asked[i]], passages, [.. judged.Select(judgement => (places[judgement.Passage], judgement.Grade))]);
        });
        return [.. kinds.Select((kind, index) => new EvalRow(
            kind.Name,
            [.. cutoffs.Select((_, k) => measured.Average(query => query[index].Recall[k]))],
            measured.Average(query => query[index].ReciprocalRank),
            measured.Average(query => query[index].Ndcg)))];
    }

    private Measures[] Measure(Kind[] kinds, TextVectors query, IReadOnlyList<IReadOnlyList<TextVectors>> passages, IReadOnlyList<(int Place, double Grade)> relevant)
    {
        var scores = kinds.Select(_ => new double[passages.Count]).ToArray();
        for (var i = 0; i < passages.Count; i++)
        {
            for (var kind = 0; kind < scores.Length; kind++)
                scores[kind][i] = double.NegativeInfinity;
            foreach (var vectors in passages[i])
            {
                var fit = Scores.Of(query, vectors, weights);
                for (var kind = 0; kind < scores.Length; kind++)
                    scores[kind][i] = Math.Max(scores[kind][i], kinds[kind].Of(fit));
            }
        }

        return [.. scores.Select(score =>
        {
            var groups = RankingMetrics.Rank(score, relevant, ties);
            return new Measures([.. cutoffs.Select(k => RankingMetrics.Recall(groups, k))], RankingMetrics.ReciprocalRank(groups, RankLimit), RankingMetrics.Ndcg(groups, RankLimit));
        })];
    }

    private sealed record Kind(string Name, Func<Scores, double> Of, Func<TextVectors, bool> Has);

    private sealed record Measures(double[] Recall, double ReciprocalRank, double Ndcg);
}

/// <param name="Kind">The kind of score.</param>
/// <param name="Recall">Recall at each cutoff.</param>
/// <param name="ReciprocalRank">MRR@10.</param>
/// <param name="Ndcg">nDCG@10.</param>
internal sealed record EvalRow(string Kind, IReadOnlyList<double> Recall, double ReciprocalRank, double Ndcg);
