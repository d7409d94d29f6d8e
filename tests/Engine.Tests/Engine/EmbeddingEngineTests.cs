using System.Diagnostics.Metrics;
using System.Text.Json;
using LocalLlm.Tests.Execution;
using Xunit;

namespace LocalLlm.Tests.Engine;

/// <summary>The trained tiny model in bge-m3's layout, compared with its reference outputs.</summary>
public sealed class EmbeddingEngineTests
{
    private const EmbeddingKinds All = EmbeddingKinds.Dense | EmbeddingKinds.Sparse | EmbeddingKinds.MultiVector;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(4)]
    public async Task All_three_outputs_are_those_of_the_reference_whatever_stands_beside_a_text(int ranks)
    {
        using var golden = Golden();
        await using var engine = await LoadAsync(ranks);
        var texts = golden.RootElement.GetProperty("texts").EnumerateArray().ToArray();
        // Embeds all texts at once, and each text alone.
        var together = await engine.EmbedAsync([.. texts.Select(text => text.GetProperty("text").GetString()!)], All, cancellationToken: Token);
        foreach (var (text, embedding) in texts.Zip(together))
        {
            AssertReference(text, embedding);
            AssertReference(text, (await engine.EmbedAsync([text.GetProperty("text").GetString()!], All, cancellationToken: Token))[0]);
        }
    }

    [Fact]
    public async Task Scores_of_queries_and_passages_are_those_of_the_reference()
    {
        using var golden = Golden();
        await using var engine = await LoadAsync();
        var embeddings = await engine.EmbedAsync([.. golden.RootElement.GetProperty("texts").EnumerateArray().Select(text => text.GetProperty("text").GetString()!)], All, cancellationToken: Token);
        foreach (var score in golden.RootElement.GetProperty("scores").EnumerateArray())
        {
            var (query, passage) = (embeddings[score.GetProperty("query").GetInt32()], embeddings[score.GetProperty("passage").GetInt32()]);
            Assert.Equal(score.GetProperty("dense").GetDouble(), TextEmbedding.DenseScore(query, passage), 1e-4);
            Assert.Equal(score.GetProperty("sparse").GetDouble(), TextEmbedding.SparseScore(query, passage), 2e-3);
            Assert.Equal(score.GetProperty("colbert").GetDouble(), TextEmbedding.MultiVectorScore(query, passage), 1e-4);
        }
    }

    [Fact]
    public async Task Passages_are_found_as_often_as_the_models_readme_says()
    {
        var folder = Path.Combine(TestPaths.TinyM3, "eval");
        await using var engine = await LoadAsync();
        var passages = Lines(Path.Combine(folder, "passages.jsonl"));
        var queries = Lines(Path.Combine(folder, "queries.jsonl"));
        var relevant = File.ReadLines(Path.Combine(folder, "qrels.tsv")).Skip(1).Select(line => line.Split('\t')).ToDictionary(row => row[0], row => row[1]);
        var found = await engine.EmbedAsync([.. passages.Select(passage => passage.Text)], All, cancellationToken: Token);
        var asked = await engine.EmbedAsync([.. queries.Select(query => query.Text)], All, cancellationToken: Token);
        var (dense, sparse, sparseAmongFive) = (0, 0, 0);
        for (var i = 0; i < queries.Count; i++)
        {
            dense += Best(passage => TextEmbedding.DenseScore(asked[i], passage)) == relevant[queries[i].Id] ? 1 : 0;
            // Counts as the reference does: a passage's rank is the number of passages that score higher.
            var scores = found.Select(passage => TextEmbedding.SparseScore(asked[i], passage)).ToArray();
            var own = scores[passages.FindIndex(passage => passage.Id == relevant[queries[i].Id])];
            var rank = scores.Count(score => score > own);
            sparse += rank < 1 ? 1 : 0;
            sparseAmongFive += rank < 5 ? 1 : 0;
        }

        Assert.InRange(100.0 * dense / queries.Count, 99.5, 100);
        Assert.InRange(100.0 * sparse / queries.Count, 78.7, 79.7);
        Assert.InRange(100.0 * sparseAmongFive / queries.Count, 88, 89);

        // Late interaction is a hundred times the work, so this scores only 40 queries.
        foreach (var i in Enumerable.Range(0, 40))
        {
            Assert.Equal(relevant[queries[i].Id], Best(passage => TextEmbedding.MultiVectorScore(asked[i], passage)));
            Assert.Equal(relevant[queries[i].Id], Best(passage => TextEmbedding.DenseScore(asked[i], passage) + (0.3 * TextEmbedding.SparseScore(asked[i], passage)) + TextEmbedding.MultiVectorScore(asked[i], passage)));
        }

        string Best(Func<TextEmbedding, double> score) => passages[Enumerable.Range(0, passages.Count).MaxBy(index => score(found[index]))].Id;
    }

    [Fact]
    public async Task A_hybrid_score_is_the_weighted_mean_of_those_that_count()
    {
        await using var engine = await LoadAsync();
        var both = await engine.EmbedAsync(["Where does Mona Hall live?", "Mona Hall lives in Osaka."], All, cancellationToken: Token);
        var (dense, sparse, multi) = (TextEmbedding.DenseScore(both[0], both[1]), TextEmbedding.SparseScore(both[0], both[1]), TextEmbedding.MultiVectorScore(both[0], both[1]));
        Assert.Equal((0.4 * dense) + (0.2 * sparse) + (0.4 * multi), TextEmbedding.HybridScore(both[0], both[1], HybridWeights.Default), 1e-9);
        Assert.Equal(((3 * dense) + sparse) / 4, TextEmbedding.HybridScore(both[0], both[1], new(3, 1, 0)), 1e-9);
        var denseOnly = await engine.EmbedAsync(["a"], cancellationToken: Token);
        Assert.Equal(1, TextEmbedding.HybridScore(denseOnly[0], denseOnly[0], HybridWeights.Default.Within(EmbeddingKinds.Dense)!), 1e-5);
        Assert.Throws<InvalidOperationException>(() => TextEmbedding.HybridScore(denseOnly[0], denseOnly[0], HybridWeights.Default));
    }

    [Theory]
    [InlineData(-0.1, 1, 0)]
    [InlineData(double.NaN, 1, 0)]
    [InlineData(double.PositiveInfinity, 1, 0)]
    [InlineData(0, 0, 0)]
    public void Weights_are_numbers_from_zero_and_not_all_zero(double dense, double sparse, double multiVector) =>
        Assert.Throws<ArgumentOutOfRangeException>(() => new HybridWeights(dense, sparse, multiVector));

    [Fact]
    public async Task Special_tokens_in_a_text_are_text()
    {
        await using var engine = await LoadAsync();
        var special = engine.Tokenizer.AllSpecialIds.ToHashSet();
        foreach (var text in (string[])["a </s> b", "a ＜/s＞ b", "a <mask> b", "<s>a<pad></s>"])
        {
            var ids = engine.Tokenize(text, addSpecialTokens: false);
            Assert.DoesNotContain(ids, id => special.Contains(id) && id != engine.Tokenizer.UnkTokenId);
            var embedding = (await engine.EmbedAsync([text], EmbeddingKinds.Sparse, cancellationToken: Token))[0];
            Assert.Equal(ids.Length + 2, embedding.TokenCount);
        }
    }

    [Fact]
    public async Task A_text_that_is_too_long_is_refused_or_cut()
    {
        await using var engine = await LoadAsync();
        var text = string.Join(' ', Enumerable.Repeat("server", 2000));
        var refusal = await Assert.ThrowsAsync<EngineException>(() => engine.EmbedAsync(["short", text], cancellationToken: Token));
        Assert.Equal(EngineErrorKind.ContextLengthExceeded, refusal.Kind);
        Assert.Contains("input[1]", refusal.Message, StringComparison.Ordinal);
        Assert.Equal(engine.MaxModelLen, (await engine.EmbedAsync([text], truncate: true, cancellationToken: Token))[0].TokenCount);
    }

    [Fact]
    public async Task A_length_beyond_the_models_is_refused_and_a_shorter_one_is_respected()
    {
        var options = new EngineOptions { ModelPath = TestPaths.TinyM3, Device = "cpu" };
        var refusal = await Assert.ThrowsAsync<EngineException>(() => EmbeddingEngine.LoadAsync(options with { MaxModelLen = 513 }, cancellationToken: Token));
        Assert.Equal("max_model_len", refusal.Parameter);
        await using var engine = await EmbeddingEngine.LoadAsync(options with { MaxModelLen = 8 }, cancellationToken: Token);
        Assert.Equal(8, engine.MaxModelLen);
    }

    [Fact]
    public async Task What_cannot_be_embedded_is_refused_and_the_next_text_is_not()
    {
        await using var engine = await LoadAsync();
        await Assert.ThrowsAsync<EngineException>(() => engine.EmbedTokensAsync([[]], cancellationToken: Token));
        await Assert.ThrowsAsync<EngineException>(() => engine.EmbedTokensAsync([[0, 999_999, 2]], cancellationToken: Token));
        await Assert.ThrowsAsync<EngineException>(() => engine.EmbedAsync(["a"], EmbeddingKinds.None, cancellationToken: Token));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => engine.EmbedAsync(["a"], cancellationToken: new CancellationToken(true)));
        Assert.Equal(1, (await engine.EmbedAsync(["a"], cancellationToken: Token))[0].Dense!.Sum(value => value * value), 1e-5);
        await engine.DisposeAsync();
        var late = await Assert.ThrowsAsync<EngineException>(() => engine.EmbedAsync(["a"], cancellationToken: Token));
        Assert.Equal(EngineErrorKind.ShuttingDown, late.Kind);
    }

    [Fact]
    public async Task Many_callers_at_once_get_what_each_gets_alone()
    {
        await using var engine = await LoadAsync();
        var texts = Enumerable.Range(0, 64).Select(i => string.Join(' ', Enumerable.Repeat($"The server {i} is in Dublin.", 1 + (i % 9)))).ToArray();
        var alone = new List<TextEmbedding>();
        foreach (var text in texts)
            alone.AddRange(await engine.EmbedAsync([text], cancellationToken: Token));
        var together = await Task.WhenAll(texts.Select(text => Task.Run(() => engine.EmbedAsync([text], cancellationToken: Token))));
        foreach (var (one, other) in alone.Zip(together))
            Assert.True(TextEmbedding.DenseScore(one, other[0]) > 1 - 1e-5);
    }

    [Fact]
    public async Task Generation_goes_on_while_embeddings_are_made()
    {
        const int tokens = 64;
        var scope = new object();
        await using var embeddings = await EmbeddingEngine.LoadAsync(new() { ModelPath = TestPaths.TinyM3, Device = "cpu", MeterScope = scope }, cancellationToken: Token);
        await using var generation = await SuiteExecutor.LoadAsync(new() { ModelPath = TestPaths.TinyR1, Device = "cpu" }, cancellationToken: Token);
        var steps = 0;
        using var listener = new MeterListener();
        listener.InstrumentPublished = (instrument, own) =>
        {
            if (ReferenceEquals(instrument.Meter.Scope, scope) && instrument.Name == "localllm.step.tokens")
                own.EnableMeasurementEvents(instrument);
        };
        listener.SetMeasurementEventCallback<long>((_, _, _, _) => Interlocked.Increment(ref steps));
        listener.Start();
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(Token);
        // Minutes of work, in steps of 2,048 tokens.
        int[] text = [.. Enumerable.Range(10, 400)];
        var embedded = embeddings.EmbedTokensAsync([.. Enumerable.Repeat(text, 100_000)], cancellationToken: stop.Token);
        var answer = await generation.CompleteAsync(GenerationRequest.FromText("Once upon a time", new SamplingParams { MaxTokens = tokens, Temperature = 0, IgnoreEos = true }), Token);
        Assert.Equal(tokens, answer.Outputs[0].TokenIds.Count);
        // Each token waits for at most one step of embeddings.
        Assert.InRange(Volatile.Read(ref steps), 0, tokens);
        Assert.False(embedded.IsCompleted);
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => embedded);
    }

    private static Task<EmbeddingEngine> LoadAsync(int ranks = 1) =>
        EmbeddingEngine.LoadAsync(new() { ModelPath = TestPaths.TinyM3, Device = "cpu", TensorParallel = ranks }, cancellationToken: Token);

    private static JsonDocument Golden() => JsonDocument.Parse(File.ReadAllBytes(TestPaths.Shared("goldens", "trained", "tiny-m3.json")));

    private static void AssertReference(JsonElement text, TextEmbedding embedding)
    {
        Assert.Equal(text.GetProperty("ids").GetArrayLength(), embedding.TokenCount);
        var dense = Floats(text.GetProperty("dense"));
        Assert.True(dense.Zip(embedding.Dense!).Sum(pair => (double)pair.First * pair.Second) > 1 - 1e-5);
        var sparse = text.GetProperty("sparse").EnumerateObject().ToDictionary(token => int.Parse(token.Name, System.Globalization.CultureInfo.InvariantCulture), token => token.Value.GetSingle());
        Assert.Equal(sparse.Keys.Order(), embedding.Sparse!.Keys.Order());
        Assert.All(sparse, token => Assert.Equal(token.Value, embedding.Sparse[token.Key], 1e-4f));
        var rows = text.TryGetProperty("colbert", out var all) ? all.EnumerateArray().Select(Floats).ToArray() : [Floats(text.GetProperty("colbert_first")), Floats(text.GetProperty("colbert_last"))];
        Assert.Equal(text.GetProperty("colbert_rows").GetInt32(), embedding.MultiVector!.Count);
        var expected = rows.Length == embedding.MultiVector.Count ? embedding.MultiVector : [embedding.MultiVector[0], embedding.MultiVector[^1]];
        Assert.All(rows.Zip(expected), pair => Assert.All(pair.First.Zip(pair.Second), value => Assert.Equal(value.First, value.Second, 1e-4f)));
    }

    private static float[] Floats(JsonElement list) => [.. list.EnumerateArray().Select(value => value.GetSingle())];

    private static List<(string Id, string Text)> Lines(string path) =>
        [.. File.ReadLines(path).Select(line => JsonDocument.Parse(line).RootElement).Select(line => (line.GetProperty("_id").GetString()!, line.GetProperty("text").GetString()!))];
}
