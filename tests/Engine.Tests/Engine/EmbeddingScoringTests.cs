using System.Text.Json;
using Xunit;

namespace LocalLlm.Tests.Engine;

/// <summary>Scores and rankings of texts by the trained tiny model.</summary>
public sealed class EmbeddingScoringTests
{
    private const EmbeddingKinds All = EmbeddingKinds.Dense | EmbeddingKinds.Sparse | EmbeddingKinds.MultiVector;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Scores_are_those_of_the_reference()
    {
        using var golden = JsonDocument.Parse(File.ReadAllBytes(TestPaths.Shared("goldens", "trained", "tiny-m3.json")));
        await using var engine = await LoadAsync();
        var texts = golden.RootElement.GetProperty("texts").EnumerateArray().Select(text => text.GetProperty("text").GetString()!).ToArray();
        var scores = golden.RootElement.GetProperty("scores").EnumerateArray().ToArray();
        string[] queries = [.. scores.Select(score => texts[score.GetProperty("query").GetInt32()])];
        string[] passages = [.. scores.Select(score => texts[score.GetProperty("passage").GetInt32()])];
        foreach (var (name, weights, tolerance) in ((string, HybridWeights, double)[])[("dense", new(1, 0, 0), 1e-4), ("sparse", new(0, 1, 0), 2e-3), ("colbert", new(0, 0, 1), 1e-4)])
        {
            var made = await engine.ScoreAsync(queries, passages, weights, cancellationToken: Token);
            Assert.All(scores.Zip(made.Scores), pair => Assert.Equal(pair.First.GetProperty(name).GetDouble(), pair.Second, tolerance));
        }
    }

    [Fact]
    public void Late_interaction_is_that_of_plain_sums_for_every_count_and_width()
    {
        var random = new Random(1);
        foreach (var (queryTokens, passageTokens, width) in ((int, int, int)[])[(1, 1, 1), (3, 2, 7), (4, 1, 8), (5, 9, 33), (17, 31, 192), (8, 3, 1024)])
        {
            var (query, passage) = (Vectors(queryTokens, width), Vectors(passageTokens, width));
            var expected = query.Average(token => passage.Max(other => token.Zip(other).Sum(pair => (double)pair.First * pair.Second)));
            Assert.Equal(expected, TextEmbedding.MultiVectorScore(new() { MultiVector = query }, new() { MultiVector = passage }), 1e-4);
            // The vectors may be in another type of list than the engine's.
            Assert.Equal(expected, TextEmbedding.MultiVectorScore(new() { MultiVector = [.. query.Select(row => row.ToList())] }, new() { MultiVector = passage }), 1e-4);
        }

        Assert.Equal(0, TextEmbedding.MultiVectorScore(new() { MultiVector = [] }, new() { MultiVector = Vectors(1, 2) }));
        Assert.Equal(0, TextEmbedding.MultiVectorScore(new() { MultiVector = Vectors(1, 2) }, new() { MultiVector = [] }));
        Assert.Throws<InvalidOperationException>(() => TextEmbedding.MultiVectorScore(new() { MultiVector = Vectors(1, 2) }, new() { MultiVector = Vectors(1, 3) }));
        Assert.Throws<InvalidOperationException>(() => TextEmbedding.DenseScore(new() { Dense = [1, 2] }, new() { Dense = [1] }));

        float[][] Vectors(int tokens, int width) => [.. Enumerable.Range(0, tokens).Select(_ => Enumerable.Range(0, width).Select(_ => (random.NextSingle() * 2) - 1).ToArray())];
    }

    [Fact]
    public void A_damaged_vector_is_not_passed_over()
    {
        float[][] damaged = [[1, 0], [float.NaN, 0], [1, 1]];
        Assert.True(double.IsNaN(TextEmbedding.MultiVectorScore(new() { MultiVector = [[1, 0], [0, 1], [1, 0], [1, 1]] }, new() { MultiVector = damaged })));
        Assert.True(double.IsNaN(TextEmbedding.MultiVectorScore(new() { MultiVector = [[1, 0]] }, new() { MultiVector = damaged })));
    }

    [Fact]
    public async Task One_query_for_all_passages_and_one_for_each_give_the_same_scores()
    {
        await using var engine = await LoadAsync();
        string[] passages = [.. Enumerable.Range(0, 40).Select(i => string.Join(' ', Enumerable.Repeat($"Mona Hall number {i} lives in Osaka.", 1 + (i % 9))))];
        var one = await engine.ScoreAsync(["Where does Mona Hall live?"], passages, cancellationToken: Token);
        var each = await engine.ScoreAsync([.. passages.Select(_ => "Where does Mona Hall live?")], passages, cancellationToken: Token);
        Assert.All(one.Scores.Zip(each.Scores), pair => Assert.Equal(pair.First, pair.Second, 1e-5));
        var embeddings = await engine.EmbedAsync(["Where does Mona Hall live?", .. passages], All, cancellationToken: Token);
        Assert.All(one.Scores.Zip(embeddings.Skip(1)), pair => Assert.Equal(TextEmbedding.HybridScore(embeddings[0], pair.Second, HybridWeights.Default), pair.First, 1e-5));
        Assert.Equal(embeddings.Sum(embedding => embedding.TokenCount), one.TokenCount);
        Assert.True(each.TokenCount > one.TokenCount);
    }

    [Fact]
    public async Task The_best_document_comes_first_and_of_equals_the_first()
    {
        await using var engine = await LoadAsync();
        string[] documents = ["The moon is far.", "Mona Hall lives in Osaka.", "The moon is far.", "Mona Hall lives in Osaka."];
        var ranked = await engine.RerankAsync("Where does Mona Hall live?", documents, cancellationToken: Token);
        Assert.Equal([1, 3, 0, 2], ranked.Results.Select(document => document.Index));
        Assert.Equal(ranked.Results[0].Score, ranked.Results[1].Score);
        Assert.Equal([1, 3, 0], (await engine.RerankAsync("Where does Mona Hall live?", documents, top: 3, cancellationToken: Token)).Results.Select(document => document.Index));
        Assert.Equal(4, (await engine.RerankAsync("Where does Mona Hall live?", documents, top: 9, cancellationToken: Token)).Results.Count);
        await Assert.ThrowsAsync<ArgumentOutOfRangeException>(() => engine.RerankAsync("a", documents, top: 0, cancellationToken: Token));
    }

    [Fact]
    public async Task Few_texts_are_computed_ahead_of_the_comparisons()
    {
        await using var engine = await EmbeddingEngine.LoadAsync(new() { ModelPath = TestPaths.TinyM3, Device = "cpu", MaxNumBatchedTokens = 64 }, cancellationToken: Token);
        var most = 0;
        var scoring = engine.ScoreAsync(["Where does Mona Hall live?"], [.. Enumerable.Repeat("Mona Hall lives in Osaka.", 500)], cancellationToken: Token);
        while (!scoring.IsCompleted)
        {
            var now = engine.Statistics;
            most = Math.Max(most, now.Running + now.Waiting);
            await Task.Yield();
        }

        Assert.Equal(500, (await scoring).Scores.Count);
        Assert.InRange(most, 1, 60);
    }

    [Fact]
    public async Task What_cannot_be_scored_is_refused_by_its_place_and_the_engine_goes_on()
    {
        await using var engine = await LoadAsync();
        var longText = string.Join(' ', Enumerable.Repeat("server", 2000));
        await Refused(engine.ScoreAsync([], ["a"], cancellationToken: Token), "queries", "0 and 1");
        await Refused(engine.ScoreAsync(["a"], [], cancellationToken: Token), "queries", "1 and 0");
        await Refused(engine.ScoreAsync(["a", "b"], ["a", "b", "c"], cancellationToken: Token), "queries", "2 and 3");
        await Refused(engine.ScoreAsync(["a"], ["a", null!], cancellationToken: Token), "passages", "passages[1]");
        await Refused(engine.RerankAsync(longText, ["a"], cancellationToken: Token), "query", "query has");
        await Refused(engine.RerankAsync("a", ["a", longText], cancellationToken: Token), "documents", "documents[1] has");
        Assert.Single((await engine.RerankAsync("a", [longText], truncate: true, cancellationToken: Token)).Results);
        using var cancelled = new CancellationTokenSource();
        var scoring = engine.ScoreAsync(["a"], [.. Enumerable.Repeat("the server is in Dublin", 5000)], cancellationToken: cancelled.Token);
        await cancelled.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => scoring);
        Assert.Single((await engine.ScoreAsync(["a"], ["b"], cancellationToken: Token)).Scores);
        await engine.DisposeAsync();
        Assert.Equal(EngineErrorKind.ShuttingDown, (await Assert.ThrowsAsync<EngineException>(() => engine.ScoreAsync(["a"], ["b"], cancellationToken: Token))).Kind);

        static async Task Refused(Task scoring, string parameter, string problem)
        {
            var refusal = await Assert.ThrowsAsync<EngineException>(() => scoring);
            Assert.Equal(parameter, refusal.Parameter);
            Assert.Contains(problem, refusal.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task Weights_of_a_kind_that_the_model_does_not_make_are_refused_and_the_default_does_without()
    {
        using var folder = new DenseOnlyCopy();
        await using var engine = await EmbeddingEngine.LoadAsync(new() { ModelPath = folder.Path, Device = "cpu" }, cancellationToken: Token);
        Assert.Equal(EmbeddingKinds.Dense, engine.Kinds);
        var refusal = await Assert.ThrowsAsync<EngineException>(() => engine.ScoreAsync(["a"], ["b"], new(1, 1, 0), cancellationToken: Token));
        Assert.Equal("weights", refusal.Parameter);
        Assert.Contains("Sparse", refusal.Message, StringComparison.Ordinal);
        Assert.Equal(1, (await engine.ScoreAsync(["a"], ["a"], cancellationToken: Token)).Scores[0], 1e-5);
    }

    private static Task<EmbeddingEngine> LoadAsync() => EmbeddingEngine.LoadAsync(new() { ModelPath = TestPaths.TinyM3, Device = "cpu" }, cancellationToken: Token);

    // A copy of the tiny model without its two other heads.
    private sealed class DenseOnlyCopy : IDisposable
    {
        public string Path { get; } = Directory.CreateTempSubdirectory("localllm-dense-").FullName;

        public DenseOnlyCopy()
        {
            Directory.CreateDirectory(System.IO.Path.Combine(Path, "1_Pooling"));
            foreach (var file in (string[])["config.json", "modules.json", "1_Pooling/config.json", "pytorch_model.bin", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"])
                File.Copy(System.IO.Path.Combine(TestPaths.TinyM3, file), System.IO.Path.Combine(Path, file));
        }

        public void Dispose() => Directory.Delete(Path, recursive: true);
    }
}
