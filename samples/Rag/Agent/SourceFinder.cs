using LocalLlm.Samples.Rag.Chunking;
using LocalLlm.Samples.Rag.Configuration;
using LocalLlm.Samples.Rag.Search;
using Microsoft.Extensions.Options;

namespace LocalLlm.Samples.Rag.Agent;

/// <summary>Searches, and chooses what of the passages the model is shown.</summary>
internal sealed class SourceFinder(HybridSearch search, TextEmbedder embedder, IOptions<RagOptions> options)
{
    private readonly AnswerOptions _answer = options.Value.Answer;
    private readonly double _threshold = options.Value.Search.SentenceThreshold;

    public async Task<FoundSources> FindAsync(string query, CancellationToken cancellationToken)
    {
        var hits = await search.FindAsync(query, cancellationToken);
        var texts = _answer.Sources == SourceForm.Passages || hits.Count == 0 ? hits.Select(hit => (hit, hit.Passage.Text)) : await SentencesAsync(query, hits, cancellationToken);
        return new(hits, [.. texts]);
    }

    /// <summary>The best sentence, and those of its section that come next to it in score: what stands under one heading is about one thing, and helps a small model to see what the question asks for.</summary>
    private async Task<IEnumerable<(SearchHit Hit, string Text)>> SentencesAsync(string query, IReadOnlyList<SearchHit> hits, CancellationToken cancellationToken)
    {
        var sentences = hits.SelectMany(hit => SentenceSplitter.Split(hit.Passage.Text).Select(sentence => (Hit: hit, Text: hit.Passage.Text[sentence].Trim())))
            .DistinctBy(sentence => (sentence.Hit.Passage.Document, sentence.Hit.Passage.Heading, sentence.Text)).ToArray();
        var vectors = await embedder.EmbedAsync([query, .. sentences.Select(sentence => sentence.Text)], cancellationToken);
        var scored = sentences.Zip(vectors.Skip(1), (sentence, vector) => (sentence.Hit, sentence.Text, Score: Scores.Of(vectors[0], vector, search.Weights).Hybrid)).ToArray();
        var best = scored.MaxBy(sentence => sentence.Score);
        if (best.Score < _threshold)
            return [];
        var (document, heading) = (best.Hit.Passage.Document, best.Hit.Passage.Heading);
        var shown = scored.Where(sentence => sentence.Hit.Passage.Document == document && sentence.Hit.Passage.Heading == heading).OrderByDescending(sentence => sentence.Score).Take(_answer.Sentences).ToHashSet();
        return scored.Where(shown.Contains).Select(sentence => (sentence.Hit, sentence.Text));
    }
}

/// <param name="Hits">The passages found.</param>
/// <param name="Shown">What the model is shown of them; nothing where no sentence fits well enough.</param>
internal sealed record FoundSources(IReadOnlyList<SearchHit> Hits, IReadOnlyList<(SearchHit Hit, string Text)> Shown);
