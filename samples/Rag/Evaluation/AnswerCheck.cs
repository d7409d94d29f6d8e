using System.Collections.Concurrent;
using System.Text.Json;
using LocalLlm.Samples.Rag.Agent;
using LocalLlm.Samples.Rag.Chunking;

namespace LocalLlm.Samples.Rag.Evaluation;

/// <summary>Asks questions with known answers, and checks what comes back.</summary>
internal static class AnswerCheck
{
    private static readonly string[] s_members = ["question", "answer", "document"];

    /// <summary>
    /// Reads questions from JSON lines with <c>question</c>, <c>answer</c> (words that the answer must have; null: the documents have no
    /// answer) and optionally <c>document</c> (the document that the answer must cite).
    /// </summary>
    public static async Task<IReadOnlyList<KnownAnswer>> ReadAsync(string path, CancellationToken cancellationToken)
    {
        var known = new List<KnownAnswer>();
        await foreach (var (line, number) in TextLines.ReadAsync(path, cancellationToken))
        {
            try
            {
                using var json = JsonDocument.Parse(line, new() { AllowDuplicateProperties = false });
                known.Add(KnownOf(json.RootElement));
            }
            catch (Exception failure) when (failure is JsonException or InvalidOperationException)
            {
                throw new RagException($"{path}, line {number}: {failure.Message.TrimEnd('.')}; wanted a JSON object with question, answer (null: the documents do not say) and, if wanted, document", failure);
            }
        }

        return known.Count > 0 ? known : throw new RagException($"{path} is empty; wanted JSON lines with question and answer");
    }

    /// <exception cref="JsonException">The line is not a question with its answer. Otherwise a misspelt "answer" would count as a question
    /// without an answer in the documents.</exception>
    private static KnownAnswer KnownOf(JsonElement json)
    {
        if (json.ValueKind != JsonValueKind.Object)
            throw new JsonException($"found {TextLines.Shortened(json.GetRawText())}");
        if (json.EnumerateObject().Select(member => member.Name).FirstOrDefault(name => !s_members.Contains(name)) is { } stray)
            throw new JsonException($"found the unknown member '{stray}'");
        if (!json.TryGetProperty("answer", out _))
            throw new JsonException("found no member 'answer'");
        return new(TextOf("question") ?? throw new JsonException("found no string 'question'"), TextOf("answer"), TextOf("document"));

        string? TextOf(string name)
        {
            if (!json.TryGetProperty(name, out var value) || value.ValueKind == JsonValueKind.Null)
                return null;
            var text = value.ValueKind == JsonValueKind.String ? value.GetString() : null;
            // Every text contains an empty answer.
            return string.IsNullOrWhiteSpace(text) ? throw new JsonException($"found {TextLines.Shortened(value.GetRawText())} as {name}") : text;
        }
    }

    /// <summary>Answers the questions; the results have the order of the questions.</summary>
    /// <param name="agent">The agent that answers.</param>
    /// <param name="questions">The questions.</param>
    /// <param name="atOnce">How many questions are answered at the same time.</param>
    /// <param name="cancellationToken">Stops the work.</param>
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
    /// <summary>Whether the answer has the expected words, or says that the documents do not say.</summary>
    public bool IsRight => Known.Answer is null ? Answer.State == AnswerState.NotFound : Answer.State == AnswerState.Answered && Wording.Contains(Answer.Text, Known.Answer);

    /// <summary>Whether the answer cites a source of the expected document that has the expected words.</summary>
    public bool IsRightlyCited => Known.Answer is not null && Answer.Sources.Any(source =>
        Answer.Cited.Contains(source.Number) && (Known.Document is null || source.Hit.Passage.Document == Known.Document) && Wording.Contains(source.Text, Known.Answer));
}
