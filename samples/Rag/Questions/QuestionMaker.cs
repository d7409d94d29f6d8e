using System.Globalization;
using LocalLlm.Samples.Rag.Chunking;
using LocalLlm.Samples.Rag.Configuration;
using LocalLlm.Samples.Rag.Search;
using LocalLlm.Samples.Rag.Storage;
using Microsoft.Extensions.Options;

namespace LocalLlm.Samples.Rag.Questions;

/// <summary>Creates the questions that passages answer: the chat model writes them, then they are checked and embedded.</summary>
/// <param name="writer">Writes the questions; null: the application has no chat model.</param>
/// <param name="embedder">Embeds the questions.</param>
/// <param name="options">How many to write, and the thresholds of the checks.</param>
internal sealed class QuestionMaker(IQuestionWriter? writer, TextEmbedder embedder, IOptions<RagOptions> options)
{
    private readonly QuestionOptions _options = options.Value.Questions;
    private readonly SearchOptions _search = options.Value.Search;
    private readonly HybridWeights _weights = options.Value.Search.Weights.ToHybridWeights();

    /// <summary>All settings that change the questions of a passage.</summary>
    public string Settings => _options.PerPassage == 0 || writer is null ? "no questions" : string.Create(CultureInfo.InvariantCulture, $"{_options.PerPassage} {_options.Method} by {writer.ModelName}, kept from {_options.Threshold} by {_weights.Dense} {_weights.Sparse} {_weights.MultiVector} among {_search.Candidates}, asked as {options.Value.Answer.Prompt}");

    /// <summary>Questions for each passage, in the order of the passages; fewer than asked for where some fail a check.</summary>
    /// <param name="passages">The passages of one document.</param>
    /// <param name="vectors">Their vectors.</param>
    /// <param name="cancellationToken">Stops the work.</param>
    public async Task<MadeQuestions> MakeAsync(IReadOnlyList<Passage> passages, IReadOnlyList<TextVectors> vectors, CancellationToken cancellationToken)
    {
        var written = new IReadOnlyList<QuestionPair>[passages.Count];
        Array.Fill(written, []);
        if (_options.PerPassage > 0 && writer is not null)
        {
            await System.Threading.Tasks.Parallel.ForAsync(0, passages.Count, new ParallelOptions { MaxDegreeOfParallelism = _options.Concurrency, CancellationToken = cancellationToken }, async (index, cancelled) =>
                written[index] = await writer.WriteAsync(passages[index].Text, _options.PerPassage, cancelled));
        }

        return await CheckAsync(passages, vectors, written, cancellationToken);
    }

    private async Task<MadeQuestions> CheckAsync(IReadOnlyList<Passage> passages, IReadOnlyList<TextVectors> vectors, IReadOnlyList<QuestionPair>[] written, CancellationToken cancellationToken)
    {
        var dropped = new SortedDictionary<string, int>(StringComparer.Ordinal);
        var seen = new HashSet<string>();
        var inForm = new List<(int Passage, QuestionPair Pair)>();
        for (var index = 0; index < passages.Count; index++)
        {
            foreach (var pair in written[index])
            {
                if (QuestionChecks.FaultOf(pair, passages[index].Text, seen) is { } fault)
                    Drop(fault);
                else
                    inForm.Add((index, pair));
            }
        }

        var questions = passages.Select(_ => new List<EmbeddedQuestion>()).ToArray();
        var embedded = await embedder.EmbedAsync([.. inForm.Select(entry => entry.Pair.Question)], cancellationToken);
        var sentences = await embedder.EmbedAsync([.. inForm.Select(entry => SentenceOf(entry.Pair.Answer, passages[entry.Passage].Text))], cancellationToken);
        for (var i = 0; i < inForm.Count; i++)
        {
            var (index, pair) = inForm[i];
            if (Scores.Of(embedded[i], sentences[i], _weights).Hybrid < _options.Threshold)
                Drop(QuestionChecks.FitsTooLittle);
            else if (FindsAnother(embedded[i], vectors, index))
                Drop(QuestionChecks.FindsAnother);
            else
                questions[index].Add(new(pair, embedded[i]));
        }

        return new(questions, dropped);

        void Drop(string reason) => dropped[reason] = dropped.GetValueOrDefault(reason) + 1;
    }

    /// <summary>
    /// Whether a question finds another passage before its own. As in a search, full scores are computed only for the nearest by dense
    /// vectors.
    /// </summary>
    private bool FindsAnother(TextVectors question, IReadOnlyList<TextVectors> passages, int own)
    {
        var score = Scores.Of(question, passages[own], _weights).Hybrid;
        return passages.OrderByDescending(passage => TextEmbedding.DenseScore(question.Embedding, passage.Embedding)).Take(_search.Candidates).Any(passage => Scores.Of(question, passage, _weights).Hybrid > score);
    }

    /// <summary>The sentence that has the answer; if the answer is longer than a sentence, the answer itself.</summary>
    private static string SentenceOf(string answer, string passage) =>
        SentenceSplitter.Split(passage).Select(sentence => passage[sentence].Trim()).FirstOrDefault(sentence => Wording.Contains(sentence, answer)) ?? answer;
}

/// <param name="Questions">The questions kept for each passage.</param>
/// <param name="Dropped">The number of dropped questions, by reason.</param>
internal sealed record MadeQuestions(IReadOnlyList<IReadOnlyList<EmbeddedQuestion>> Questions, IReadOnlyDictionary<string, int> Dropped);
