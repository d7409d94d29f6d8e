using System.Globalization;
using System.Text.Json;

namespace LocalLlm.Samples.Rag.Evaluation;

/// <summary>A test collection in BEIR's format: passages and queries as JSON lines with <c>_id</c> and <c>text</c> (and <c>title</c>), judgements as query, passage and grade divided by tabs.</summary>
internal sealed record BeirFiles(IReadOnlyList<EvalText> Passages, IReadOnlyList<EvalText> Queries, IReadOnlyList<Judgement> Judgements)
{
    public static async Task<BeirFiles> ReadAsync(string passages, string queries, string qrels, CancellationToken cancellationToken)
    {
        var files = new BeirFiles(await ReadTextsAsync(passages, cancellationToken), await ReadTextsAsync(queries, cancellationToken), await ReadJudgementsAsync(qrels, cancellationToken));
        var (known, asked) = (files.Passages.Select(text => text.Id).ToHashSet(), files.Queries.Select(text => text.Id).ToHashSet());
        var strays = files.Judgements.Where(judgement => !known.Contains(judgement.Passage) || !asked.Contains(judgement.Query)).ToArray();
        if (strays.Length > 0)
            throw new RagException($"{qrels}: {strays.Length} judgements name a query or passage that is in no file, first ({strays[0].Query}, {strays[0].Passage}); give the three files of one collection");
        if (!files.Judgements.Any(judgement => judgement.Grade > 0))
            throw new RagException($"{qrels}: no judgement has a grade above 0, so nothing can be found; give grades of 1 or more to what is relevant");
        return files;
    }

    private static async Task<IReadOnlyList<EvalText>> ReadTextsAsync(string path, CancellationToken cancellationToken)
    {
        var texts = new Dictionary<string, EvalText>();
        await foreach (var (line, number) in LinesAsync(path, cancellationToken))
        {
            var text = TextOf(line) ?? throw new RagException($"{path}, line {number}: found {Shortened(line)}; wanted a JSON object with the strings _id and text");
            if (!texts.TryAdd(text.Id, text))
                throw new RagException($"{path}, line {number}: the _id '{text.Id}' is there twice; give each text its own");
        }

        return texts.Count > 0 ? [.. texts.Values] : throw new RagException($"{path} is empty; wanted JSON lines with _id and text");
    }

    private static EvalText? TextOf(string line)
    {
        try
        {
            using var json = JsonDocument.Parse(line);
            if (json.RootElement.ValueKind != JsonValueKind.Object || StringOf(json.RootElement, "_id") is not { } id || StringOf(json.RootElement, "text") is not { } text)
                return null;
            return new(id, StringOf(json.RootElement, "title") is { Length: > 0 } title ? $"{title}\n{text}" : text);
        }
        catch (JsonException)
        {
            return null;
        }
    }

    private static string? StringOf(JsonElement json, string name) => json.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;

    private static async Task<IReadOnlyList<Judgement>> ReadJudgementsAsync(string path, CancellationToken cancellationToken)
    {
        var judgements = new Dictionary<(string, string), Judgement>();
        await foreach (var (line, number) in LinesAsync(path, cancellationToken))
        {
            var fields = line.Split('\t', StringSplitOptions.TrimEntries);
            // TREC's form has a field between query and passage that nobody uses.
            if (fields.Length == 4)
                fields = [fields[0], fields[2], fields[3]];
            if (fields.Length == 3 && double.TryParse(fields[2], NumberStyles.Float, CultureInfo.InvariantCulture, out var grade) && double.IsFinite(grade))
                judgements[(fields[0], fields[1])] = new(fields[0], fields[1], grade);
            else if (number > 1 || fields.Length != 3)
                throw new RagException($"{path}, line {number}: found {Shortened(line)}; wanted query-id, corpus-id and a grade, divided by tabs (a first line of names may stand above)");
        }

        return [.. judgements.Values];
    }

    private static async IAsyncEnumerable<(string Line, int Number)> LinesAsync(string path, [System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancellationToken)
    {
        if (!File.Exists(path))
            throw new RagException($"the file '{path}' does not exist");
        var number = 0;
        await foreach (var line in File.ReadLinesAsync(path, cancellationToken))
        {
            number++;
            if (!string.IsNullOrWhiteSpace(line))
                yield return (line, number);
        }
    }

    private static string Shortened(string line) => line.Length > 80 ? $"'{line[..80]}…'" : $"'{line}'";
}

internal sealed record EvalText(string Id, string Text);

/// <param name="Query">A query's id.</param>
/// <param name="Passage">A passage's id.</param>
/// <param name="Grade">How relevant it is; 0 or less: not.</param>
internal sealed record Judgement(string Query, string Passage, double Grade);
