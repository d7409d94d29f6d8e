using System.Text.Json;
using LocalLlm.Samples.Rag.Questions;

namespace LocalLlm.Samples.Rag.Evaluation;

/// <summary>Question–answer pairs of a collection as JSON lines with <c>passage</c>, <c>question</c> and <c>answer</c>: making them takes the longest.</summary>
internal static class PairFile
{
    public static async Task<IReadOnlyList<(string Passage, QuestionPair Pair)>> ReadAsync(string path, IReadOnlySet<string> known, CancellationToken cancellationToken)
    {
        var pairs = new List<(string, QuestionPair)>();
        var number = 0;
        await foreach (var line in File.ReadLinesAsync(path, cancellationToken))
        {
            number++;
            if (LineOf(line) is not { Passage: not null, Question: not null, Answer: not null } read)
                throw new RagException($"{path}, line {number}: wanted a JSON object with the strings passage, question and answer");
            if (!known.Contains(read.Passage))
                throw new RagException($"{path}, line {number}: the collection has no passage '{read.Passage}'; name another file, or remove this one so that it is made again");
            pairs.Add((read.Passage, new(read.Question, read.Answer)));
        }

        return pairs;
    }

    public static Task WriteAsync(string path, IEnumerable<(string Passage, QuestionPair Pair)> pairs, CancellationToken cancellationToken) =>
        File.WriteAllLinesAsync(path, pairs.Select(pair => JsonSerializer.Serialize(new Line(pair.Passage, pair.Pair.Question, pair.Pair.Answer), JsonSerializerOptions.Web)), cancellationToken);

    private static Line? LineOf(string line)
    {
        try
        {
            return JsonSerializer.Deserialize<Line>(line, JsonSerializerOptions.Web);
        }
        catch (JsonException)
        {
            return null;
        }
    }

    private sealed record Line(string? Passage, string? Question, string? Answer);
}
