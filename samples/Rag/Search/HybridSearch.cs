using LocalLlm.Samples.Rag.Configuration;
using LocalLlm.Samples.Rag.Ingest;
using LocalLlm.Samples.Rag.Storage;
using Microsoft.Extensions.Options;

namespace LocalLlm.Samples.Rag.Search;

/// <summary>
/// Takes dense and sparse candidates from the store and ranks them by all three kinds of score; passages below the threshold are dropped.
/// </summary>
internal sealed class HybridSearch(TextEmbedder embedder, IPassageStore store, UnreadDocuments unread, IOptions<RagOptions> options)
{
    private readonly SearchOptions _options = options.Value.Search;

    /// <summary>The weight of each kind of score.</summary>
    public HybridWeights Weights { get; } = options.Value.Search.Weights.ToHybridWeights();

    /// <summary>The passages that fit a query, best first.</summary>
    public async Task<IReadOnlyList<SearchHit>> FindAsync(string query, CancellationToken cancellationToken) => AboveThreshold(await RankAsync(query, cancellationToken));

    /// <summary>The candidates above the thresholds, best first.</summary>
    public IReadOnlyList<SearchHit> AboveThreshold(IReadOnlyList<SearchHit> ranked)
    {
        if (ranked.Count == 0)
            return ranked;
        var least = Math.Max(_options.Threshold, ranked[0].Scores.Hybrid * _options.RelativeThreshold);
        return [.. ranked.TakeWhile(hit => hit.Scores.Hybrid >= least).Take(_options.Passages)];
    }

    /// <summary>All candidates, best first, including those below the threshold.</summary>
    public async Task<IReadOnlyList<SearchHit>> RankAsync(string query, CancellationToken cancellationToken)
    {
        var vectors = (await embedder.EmbedAsync([query], cancellationToken))[0];
        var candidates = await store.FindCandidatesAsync(vectors, _options.Candidates, cancellationToken);
        return [.. candidates.Where(candidate => !unread.Has(candidate.Passage.Document)).Select(candidate => Best(vectors, candidate)).OrderByDescending(hit => hit.Scores.Hybrid).ThenBy(hit => hit.Passage.Document, StringComparer.Ordinal).ThenBy(hit => hit.Passage.Ordinal)];
    }

    /// <summary>Scores a passage by the best of its own text and its questions.</summary>
    private SearchHit Best(TextVectors query, EmbeddedPassage candidate)
    {
        var best = new SearchHit(candidate.Passage, Scores.Of(query, candidate.Vectors, Weights), null);
        foreach (var question in candidate.Questions)
        {
            var scores = Scores.Of(query, question.Vectors, Weights);
            if (scores.Hybrid > best.Scores.Hybrid)
                best = best with { Scores = scores, Question = question.Pair };
        }

        return best;
    }
}
