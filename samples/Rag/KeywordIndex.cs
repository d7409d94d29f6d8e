namespace LocalLlm.Samples.Rag;

/// <summary>The sentences of some documents, found by the rarity of the words that they share with a question.</summary>
internal sealed class KeywordIndex
{
    private readonly (string Sentence, HashSet<string> Words)[] _sentences;
    private readonly Dictionary<string, double> _weights;

    public KeywordIndex(IEnumerable<string> documents)
    {
        _sentences = [.. documents
            .SelectMany(document => document.Split('\n', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
            .Where(line => !line.StartsWith('#'))
            .Select(line => (line, Words(line)))];
        _weights = _sentences.SelectMany(sentence => sentence.Words).GroupBy(word => word)
            .ToDictionary(word => word.Key, word => Math.Log(1 + ((double)_sentences.Length / word.Count())));
    }

    /// <summary>The sentences that share most with the question, best first; none with less than half the best one's score.</summary>
    public IReadOnlyList<string> Search(string question, int count)
    {
        var words = Words(question);
        var hits = _sentences
            .Select(sentence => (sentence.Sentence, Score: sentence.Words.Where(words.Contains).Sum(word => _weights[word])))
            .Where(hit => hit.Score > 0)
            .OrderByDescending(hit => hit.Score)
            .Take(count)
            .ToArray();
        return [.. hits.Where(hit => hit.Score >= hits[0].Score / 2).Select(hit => hit.Sentence)];
    }

    private static HashSet<string> Words(string text) =>
        [.. text.ToLowerInvariant().Split([' ', '.', ',', '?', '!', ':', ';'], StringSplitOptions.RemoveEmptyEntries)];
}
