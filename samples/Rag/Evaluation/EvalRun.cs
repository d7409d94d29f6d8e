using System.Diagnostics;
using System.Globalization;
using LocalLlm.Samples.Rag.Chunking;
using LocalLlm.Samples.Rag.Questions;
using LocalLlm.Samples.Rag.Search;
using Microsoft.Extensions.DependencyInjection;

namespace LocalLlm.Samples.Rag.Evaluation;

/// <summary>Measures one collection without and with question–answer pairs.</summary>
internal sealed class EvalRun(IServiceProvider services, TextWriter log, BeirFiles files, Evaluator evaluator)
{
    private readonly TextEmbedder _embedder = services.GetRequiredService<TextEmbedder>();
    private IReadOnlyList<TextVectors> _queries = [];
    private IReadOnlyList<TextVectors> _passages = [];

    public async Task<IReadOnlyList<EvalRow>> PlainAsync(CancellationToken cancellationToken)
    {
        var started = Stopwatch.GetTimestamp();
        // A collection is measured as the model reads it: a text beyond the model's limit is truncated.
        _passages = await _embedder.EmbedAsync([.. files.Passages.Select(passage => passage.Text)], cancellationToken, truncate: true);
        _queries = await _embedder.EmbedAsync([.. files.Queries.Select(query => query.Text)], cancellationToken, truncate: true);
        await TellAsync($"{files.Passages.Count} passages and {files.Queries.Count} queries embedded in {Seconds(started)}");
        started = Stopwatch.GetTimestamp();
        var rows = evaluator.Run(files, _queries, [.. _passages.Select(passage => new[] { passage })], cancellationToken);
        await TellAsync($"{_queries.Count} × {_passages.Count} scores of each kind in {Seconds(started)}");
        return rows;
    }

    /// <summary>Measures with question–answer pairs; requires <see cref="PlainAsync"/> first.</summary>
    /// <param name="cache">The file that pairs are read from, or written to; null: none.</param>
    /// <param name="limit">Pairs only for this many passages, from the first; null: all.</param>
    /// <param name="cancellationToken">Stops the work.</param>
    public async Task<IReadOnlyList<EvalRow>> WithQuestionsAsync(string? cache, int? limit, CancellationToken cancellationToken)
    {
        var pairs = File.Exists(cache) ? await PairFile.ReadAsync(cache, files, limit, cancellationToken) : await MakeAsync(limit, cancellationToken);
        if (cache is not null && !File.Exists(cache))
            await PairFile.WriteAsync(cache, files, limit, pairs, cancellationToken);
        var vectors = await _embedder.EmbedAsync([.. pairs.Select(pair => pair.Pair.Question)], cancellationToken);
        var questions = pairs.Zip(vectors).ToLookup(pair => pair.First.Passage, pair => pair.Second);
        await TellAsync($"{pairs.Count} pairs for {questions.Count} of {_passages.Count} passages");
        return evaluator.Run(files, _queries, [.. _passages.Select((passage, index) => questions[files.Passages[index].Id].Prepend(passage).ToArray())], cancellationToken);
    }

    private async Task<IReadOnlyList<(string Passage, QuestionPair Pair)>> MakeAsync(int? limit, CancellationToken cancellationToken)
    {
        var started = Stopwatch.GetTimestamp();
        var some = files.Passages.Take(limit ?? int.MaxValue).ToArray();
        var passages = some.Select((passage, index) => new Passage(passage.Id, index, "", null, passage.Text)).ToArray();
        var made = await services.GetRequiredService<QuestionMaker>().MakeAsync(passages, [.. _passages.Take(some.Length)], cancellationToken);
        await TellAsync($"pairs made in {Seconds(started)}; dropped: {(made.Dropped.Count == 0 ? "none" : string.Join(", ", made.Dropped.Select(reason => $"{reason.Value} {reason.Key}")))}");
        return [.. some.SelectMany((passage, index) => made.Questions[index].Select(question => (passage.Id, question.Pair)))];
    }

    private Task TellAsync(string line) => log.WriteLineAsync(line);

    private static string Seconds(long started) => string.Create(CultureInfo.InvariantCulture, $"{Stopwatch.GetElapsedTime(started).TotalSeconds:0.0} s");
}
