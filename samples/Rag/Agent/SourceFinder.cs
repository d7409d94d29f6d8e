using LocalLlm.Samples.Rag.Configuration;
using LocalLlm.Samples.Rag.Search;
using Microsoft.Extensions.Options;

namespace LocalLlm.Samples.Rag.Agent;

/// <summary>Searches, and chooses what of the passages the model is shown.</summary>
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
        // Words are looked at so quickly, and so strictly, that every candidate can be: the passage's own score may be low for what a small
        // model has not learned.
        var shown = await sentences.QuotableAsync(query, _check == SentenceCheck.Words ? ranked : hits, cancellationToken);
        if (shown.Count == 0)
            return new(await NearAsync(query, hits, cancellationToken), []);
        return new([.. hits, .. shown.Select(part => part.Hit).Distinct().Where(hit => !hits.Contains(hit))], shown);
    }

    /// <summary>Of passages found those that are worth showing though they have no answer.</summary>
    public Task<IReadOnlyList<SearchHit>> NearAsync(string query, IReadOnlyList<SearchHit> hits, CancellationToken cancellationToken) => sentences.NearAsync(query, hits, cancellationToken);
}

/// <param name="Hits">The passages found; where none may be shown to the model, those near enough to help the reader.</param>
/// <param name="Shown">What the model is shown of them; nothing where no sentence fits well enough.</param>
internal sealed record FoundSources(IReadOnlyList<SearchHit> Hits, IReadOnlyList<PassagePart> Shown);
