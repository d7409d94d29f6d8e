using System.Collections.Concurrent;
using System.Text.Json;
using LocalLlm.Samples.Rag.Agent;
using LocalLlm.Samples.Rag.Chunking;

namespace LocalLlm.Samples.Rag.Evaluation;

/// <summary>Asks questions whose answers are known, and counts what comes.</summary>
internal static class AnswerCheck
{
    /// <summary>Questions as JSON lines with <c>question</c>, <c>answer</c> (words that an answer must have; null: the documents do not say) and <c>document</c> (what it must cite).</summary>
    public static async Task<IReadOnlyList<KnownAnswer>> ReadAsync(string path, CancellationToken cancellationToken)
    {
        if (!File.Exists(path))
            throw new RagException($"the file '{path}' does not exist");
        var (known, number) = (new List<KnownAnswer>(), 0);
        await foreach (var line in File.ReadLinesAsync(path, cancellationToken))
        {
            number++;
            try
            {
                known.Add(JsonSerializer.Deserialize<KnownAnswer>(line, JsonSerializerOptions.Web) is { Question: not null } read ? read : throw new JsonException());
            }
            catch (JsonException failure)
            {
                throw new RagException($"{path}, line {number}: wanted a JSON object with question, answer and document", failure);
            }
        }

        return known;
    }

    /// <summary>The questions with their answers, in the order of the questions.</summary>
    /// <param name="agent">Answers.</param>
    /// <param name="questions">What is asked.</param>
    /// <param name="atOnce">How many questions are answered at the same time.</param>
    /// <param name="cancellationToken">Gives up.</param>
    public static async Task<IReadOnlyList<CheckedAnswer>> RunAsync(DocumentAgent agent, IReadOnlyList<KnownAnswer> questions, int atOnce, CancellationToken cancellationToken)
    {
        var answers = new ConcurrentDictionary<int, CheckedAnswer>();
        await System.Threading.Tasks.Parallel.ForAsync(0, questions.Count, new ParallelOptions { MaxDegreeOfParallelism = atOnce, CancellationToken = cancellationToken }, async (index, cancelled) =>
        {
            await foreach (var happened in agent.AskAsync(questions[index].Question, cancellationToken: cancelled))
            {
                if (happened is AnswerEvent.Done done)
                    answers[index] = new(questions[index], done.Answer);
            }
        });
        return [.. answers.OrderBy(answer => answer.Key).Select(answer => answer.Value)];
    }
}

internal sealed record KnownAnswer(string Question, string? Answer, string? Document);

internal sealed record CheckedAnswer(KnownAnswer Known, Answer Answer)
{
    /// <summary>It has the words that were wanted, or says that the documents do not say.</summary>
    public bool IsRight => Known.Answer is null ? Answer.State == AnswerState.NotFound : Answer.State == AnswerState.Answered && Wording.Contains(Answer.Text, Known.Answer);

    /// <summary>It cites a source of the document that was wanted, with the words that were wanted.</summary>
    public bool IsRightlyCited => Known.Answer is not null && Answer.Sources.Any(source =>
        Answer.Cited.Contains(source.Number) && (Known.Document is null || source.Hit.Passage.Document == Known.Document) && Wording.Contains(source.Text, Known.Answer));
}
