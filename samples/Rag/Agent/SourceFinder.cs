using LocalLlm.Samples.Rag.Configuration;
using LocalLlm.Samples.Rag.Search;
using Microsoft.Extensions.Options;

namespace LocalLlm.Samples.Rag.Agent;

/// <summary>Searches, and chooses what the model is shown of the passages found.</summary>
internal sealed class SourceFinder(HybridSearch search, SentenceChoice sentences, IOptions<RagOptions> options)
{
    private readonly AnswerOptions _answer = options.Value.Answer;
    private readonly SentenceCheck _check = options.Value.Search.SentenceCheck;

    public async Task<FoundSources> FindAsync(string query, CancellationToken cancellationToken)
    {
        var ranked = await search.RankAsync(query, cancellationToken);
        var hits = search.AboveThreshold(ranked);
        if (_answer.Sources == SourceForm.Passages)
            return new(hits, [.. hits.Select(PassagePart.Whole)]);
        // Checking words is so fast and so strict that every candidate can be checked: a small model may give a passage a low score because
        // it has not learned its words.
        var shown = await sentences.QuotableAsync(query, _check == SentenceCheck.Words ? ranked : hits, cancellationToken);
        if (shown.Count == 0)
            return new(await NearAsync(query, hits, cancellationToken), []);
        return new([.. hits, .. shown.Select(part => part.Hit).Distinct().Where(hit => !hits.Contains(hit))], shown);
    }

    /// <summary>The found passages that are worth showing although they have no answer.</summary>
    public Task<IReadOnlyList<SearchHit>> NearAsync(string query, IReadOnlyList<SearchHit> hits, CancellationToken cancellationToken) => sentences.NearAsync(query, hits, cancellationToken);
}

/// <param name="Hits">The passages found; if no sentence may be shown to the model, those near enough to help the reader.</param>
/// <param name="Shown">The parts that the model is shown; empty if no sentence fits well enough.</param>
internal sealed record FoundSources(IReadOnlyList<SearchHit> Hits, IReadOnlyList<PassagePart> Shown);
