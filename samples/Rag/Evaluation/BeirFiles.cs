using System.Globalization;
using System.Text.Json;

namespace LocalLlm.Samples.Rag.Evaluation;

/// <summary>
/// A test collection in BEIR's format: passages and queries as JSON lines with <c>_id</c> and <c>text</c> (and <c>title</c>); judgements as
/// query, passage and grade separated by tabs, or in TREC's four columns.
/// </summary>
internal sealed record BeirFiles(IReadOnlyList<EvalText> Passages, IReadOnlyList<EvalText> Queries, IReadOnlyList<Judgement> Judgements)
{
    private static readonly HashSet<string> s_gradeNames = new(StringComparer.OrdinalIgnoreCase) { "score", "relevance" };

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
        await foreach (var (line, number) in TextLines.ReadAsync(path, cancellationToken))
        {
            var text = TextOf(line) ?? throw new RagException($"{path}, line {number}: found {TextLines.Shortened(line)}; wanted a JSON object with the strings _id and text");
            if (!texts.TryAdd(text.Id, text))
                throw new RagException($"{path}, line {number}: the _id '{text.Id}' occurs twice; give each text its own _id");
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
        var mayBeNames = true;
        await foreach (var (line, number) in TextLines.ReadAsync(path, cancellationToken))
        {
            var fields = FieldsOf(line);
            var isNames = mayBeNames && fields is [_, _, var last] && s_gradeNames.Contains(last);
            mayBeNames = false;
            if (isNames)
                continue;
            // The parser accepts infinity and NaN, which would make every mean infinite or NaN.
            if (fields is not [{ Length: > 0 } query, { Length: > 0 } passage, var text] || !double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var grade) || !double.IsFinite(grade))
                throw new RagException($"{path}, line {number}: found {TextLines.Shortened(line)}; wanted query-id, corpus-id and a finite grade, divided by tabs (a first line that ends in score or relevance may stand above), or TREC's four columns: query, 0, passage, grade");
            if (!judgements.TryAdd((query, passage), new(query, passage, grade)) && judgements[(query, passage)].Grade != grade)
                throw new RagException(string.Create(CultureInfo.InvariantCulture, $"{path}, line {number}: '{passage}' is judged for '{query}' as {grade}, and before as {judgements[(query, passage)].Grade}; leave one of the two"));
        }

        return [.. judgements.Values];
    }

    /// <summary>
    /// Query, passage and grade. TREC's form has an unused field between query and passage, and may be separated by spaces; three columns
    /// are separated only by tabs.
    /// </summary>
    private static string[] FieldsOf(string line)
    {
        var fields = line.Contains('\t', StringComparison.Ordinal) ? line.Split('\t', StringSplitOptions.TrimEntries) : line.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);
        return fields.Length == 4 ? [fields[0], fields[2], fields[3]] : line.Contains('\t', StringComparison.Ordinal) ? fields : [line];
    }
}

internal sealed record EvalText(string Id, string Text);

/// <param name="Query">A query's id.</param>
/// <param name="Passage">A passage's id.</param>
/// <param name="Grade">How relevant it is; 0 or less: not.</param>
internal sealed record Judgement(string Query, string Passage, double Grade);
