using System.Text.Json;
using LocalLlm.Samples.Rag.Questions;

namespace LocalLlm.Samples.Rag.Evaluation;

/// <summary>
/// Question–answer pairs of a collection as JSON lines with <c>passage</c>, <c>question</c> and <c>answer</c>, kept because writing them
/// takes longest. A file of pairs for only some passages begins with a line <c>{"limit": N}</c>, so that nothing takes it for the pairs of
/// the whole collection.
/// </summary>
internal static class PairFile
{
    private static readonly JsonSerializerOptions s_json = new(JsonSerializerDefaults.Web)
    {
        DefaultIgnoreCondition = System.Text.Json.Serialization.JsonIgnoreCondition.WhenWritingNull,
        UnmappedMemberHandling = System.Text.Json.Serialization.JsonUnmappedMemberHandling.Disallow,
    };

    /// <summary>Finds faults before hours of work: an existing file must be readable, and a new one writable.</summary>
    /// <param name="path">The file.</param>
    /// <param name="files">The collection.</param>
    /// <param name="limit">Pairs only for this many passages, from the first; null: all.</param>
    /// <param name="cancellationToken">Stops the work.</param>
    public static async Task CheckAsync(string path, BeirFiles files, int? limit, CancellationToken cancellationToken)
    {
        if (Path.Exists(path))
        {
            await ReadAsync(path, files, limit, cancellationToken);
            return;
        }

        if (Path.GetDirectoryName(Path.GetFullPath(path)) is { } folder && !Directory.Exists(folder))
        {
            throw new RagException(
                $"pairs are to be written to '{path}', but the folder '{folder}' does not exist; create it, or name another file");
        }
        try
        {
            await using var probe = new FileStream(Partial(path), new FileStreamOptions { Mode = FileMode.Create, Access = FileAccess.Write, Options = FileOptions.DeleteOnClose });
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            throw new RagException($"pairs are to be written to '{path}', which cannot be: {failure.Message.TrimEnd('.')}; name another file", failure);
        }
    }

    /// <exception cref="RagException">The file has lines that are not pairs, or pairs for another number of passages than the
    /// limit.</exception>
    public static async Task<IReadOnlyList<(string Passage, QuestionPair Pair)>> ReadAsync(string path, BeirFiles files, int? limit, CancellationToken cancellationToken)
    {
        var known = files.Passages.Select(passage => passage.Id).ToHashSet();
        var pairs = new List<(string, QuestionPair)>();
        int? made = null;
        var isFirst = true;
        await foreach (var (line, number) in TextLines.ReadAsync(path, cancellationToken))
        {
            var read = LineOf(line);
            if (isFirst && read is { Limit: > 0, Passage: null, Question: null, Answer: null })
                made = read.Limit;
            else if (read is not { Limit: null, Passage: not null, Question: not null, Answer: not null })
                throw new RagException($"{path}, line {number}: found {TextLines.Shortened(line)}; wanted a JSON object with the strings passage, question and answer");
            else if (!known.Contains(read.Passage))
                throw new RagException($"{path}, line {number}: the collection has no passage '{read.Passage}'; name another file, or remove this one so that it is made again");
            else
                pairs.Add((read.Passage, new(read.Question, read.Answer)));
            isFirst = false;
        }

        if (made != LimitOf(limit, files))
            throw new RagException($"{path} has pairs of {Extent(made)}, and {Extent(LimitOf(limit, files))} are asked for; {(made is null ? "leave out --qa-limit" : $"give --qa-limit {made}")}, or name another file");
        return pairs;
    }

    /// <summary>Writes all pairs or none: an incomplete file has another name.</summary>
    public static async Task WriteAsync(string path, BeirFiles files, int? limit, IEnumerable<(string Passage, QuestionPair Pair)> pairs, CancellationToken cancellationToken)
    {
        IEnumerable<Line> head = LimitOf(limit, files) is { } made ? [new(null, null, null, made)] : [];
        var lines = head.Concat(pairs.Select(pair => new Line(pair.Passage, pair.Pair.Question, pair.Pair.Answer, null)));
        await File.WriteAllLinesAsync(Partial(path), lines.Select(line => JsonSerializer.Serialize(line, s_json)), cancellationToken);
        File.Move(Partial(path), path, overwrite: true);
    }

    private static string Partial(string path) => path + ".partial";

    /// <summary>The limit; null if the collection has no more passages than that.</summary>
    private static int? LimitOf(int? limit, BeirFiles files) => limit < files.Passages.Count ? limit : null;

    private static string Extent(int? limit) => limit is null ? "all passages" : $"the first {limit} passages";

    private static Line? LineOf(string line)
    {
        try
        {
            return JsonSerializer.Deserialize<Line>(line, s_json);
        }
        catch (JsonException)
        {
            return null;
        }
    }

    private sealed record Line(string? Passage, string? Question, string? Answer, int? Limit);
}
