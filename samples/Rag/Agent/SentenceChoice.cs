using LocalLlm.Samples.Rag.Agreement;
using LocalLlm.Samples.Rag.Chunking;
using LocalLlm.Samples.Rag.Configuration;
using LocalLlm.Samples.Rag.Documents;
using LocalLlm.Samples.Rag.Search;
using Microsoft.Extensions.Options;

namespace LocalLlm.Samples.Rag.Agent;

/// <summary>Chooses sentences of passages: those that may be quoted as the answer to a question, and those near enough to help the user who
/// asked it.</summary>
internal sealed class SentenceChoice(TextEmbedder embedder, IOptions<RagOptions> options)
{
    // A sentence shown as near must have at least this share of what the question names.
    private const double NearShare = 0.5;

    private readonly SearchOptions _search = options.Value.Search;
    private readonly int _most = options.Value.Answer.Sentences;
    private readonly HybridWeights _weights = options.Value.Search.Weights.ToHybridWeights();
    private readonly Synonyms _synonyms = options.Value.Search.SentenceCheck == SentenceCheck.Words ? Synonyms.Load(options.Value.Search.Synonyms) : Synonyms.None;

    /// <summary>The sentences that may be quoted, in the order of their passages. Each reaches the threshold, scores close to the best one
    /// and, where words are checked, agrees with the question's words.</summary>
    public async Task<IReadOnlyList<PassagePart>> QuotableAsync(string question, IReadOnlyList<SearchHit> hits, CancellationToken cancellationToken)
    {
        var asked = AskedQuestion.Read(question, _synonyms);
        var sentences = SentencesOf(hits).Where(sentence => _search.SentenceCheck == SentenceCheck.Score || SentenceAgreement.Agrees(asked, sentence.Text, sentence.Hit.Passage.Heading));
        var scored = (await ScoredAsync(question, sentences, cancellationToken)).Where(sentence => sentence.Score >= _search.SentenceThreshold).OrderByDescending(sentence => sentence.Score).ToArray();
        if (scored.Length == 0)
            return [];
        var least = scored[0].Score * _search.SentenceRelativeThreshold;
        return [.. scored.TakeWhile(sentence => sentence.Score >= least).Take(_most).OrderBy(part => part.Hit.Passage.Document, StringComparer.Ordinal).ThenBy(part => part.Hit.Passage.Ordinal).ThenBy(part => part.Start)];
    }

    /// <summary>The passages worth showing where no sentence may be quoted.</summary>
    public async Task<IReadOnlyList<SearchHit>> NearAsync(string question, IReadOnlyList<SearchHit> hits, CancellationToken cancellationToken)
    {
        var asked = AskedQuestion.Read(question, _synonyms);
        var sentences = SentencesOf(hits).Where(sentence => _search.SentenceCheck == SentenceCheck.Score || ShareOf(asked, sentence) >= NearShare);
        var near = (await ScoredAsync(question, sentences, cancellationToken)).Where(sentence => sentence.Score >= _search.NearThreshold).Select(sentence => sentence.Hit).ToHashSet();
        return [.. hits.Where(near.Contains)];
    }

    private static double ShareOf(AskedQuestion asked, PassagePart sentence) =>
        asked.Words.Count == 0 ? 0 : ShareOf(asked, Matches.Of(asked.Words, TermReader.Read($"{sentence.Hit.Passage.Heading}\n{sentence.Text}")).Missing);

    // The price of a battery is not near the price of the moon: the thing itself must be named.
    private static double ShareOf(AskedQuestion asked, List<AskedWord> missing) =>
        asked.Thing.All(missing.Contains) ? 0 : 1 - ((double)missing.Count / asked.Words.Count);

    private async Task<IReadOnlyList<PassagePart>> ScoredAsync(string question, IEnumerable<PassagePart> sentences, CancellationToken cancellationToken)
    {
        var parts = sentences.ToArray();
        if (parts.Length == 0)
            return [];
        // Often only the heading names what a list or a table is about.
        var texts = parts.SelectMany(part => new[] { part.Text, Passage.TextToEmbed(part.Hit.Passage.Heading.Split(DocumentSection.HeadingSeparator)[^1], part.Text) }).ToArray();
        var vectors = await embedder.EmbedAsync([question, .. texts], cancellationToken, truncate: true);
        return [.. parts.Select((part, index) => part with { Score = Math.Max(Scores.Of(vectors[0], vectors[(2 * index) + 1], _weights).Hybrid, Scores.Of(vectors[0], vectors[(2 * index) + 2], _weights).Hybrid) })];
    }

    /// <summary>All sentences, each once: a passage repeats the last sentences of the one before.</summary>
    private static IEnumerable<PassagePart> SentencesOf(IEnumerable<SearchHit> hits) => hits
        .SelectMany(hit => SentenceSplitter.Split(hit.Passage.Text).Select(sentence => PassagePart.Of(hit, sentence)))
        .Where(part => part.Text.Length > 0)
        .DistinctBy(part => (part.Hit.Passage.Document, part.Hit.Passage.Heading, part.Text));
}

/// <summary>A part of a passage.</summary>
/// <param name="Hit">The passage, and why it was found.</param>
/// <param name="Start">Where the part begins in the passage's text.</param>
/// <param name="Text">The part.</param>
internal sealed record PassagePart(SearchHit Hit, int Start, string Text)
{
    /// <summary>How well it fits the question, where that was computed.</summary>
    public double Score { get; init; }

    /// <summary>A range of a passage, without the white space around it.</summary>
    public static PassagePart Of(SearchHit hit, Range range)
    {
        var text = hit.Passage.Text[range];
        return new(hit, range.Start.Value + text.Length - text.TrimStart().Length, text.Trim());
    }

    public static PassagePart Whole(SearchHit hit) => new(hit, 0, hit.Passage.Text);
}
