using System.Diagnostics.Metrics;
using System.Text.Json.Nodes;
using LocalLlm.Execution;
using LocalLlm.Tests.Execution;
using Xunit;

namespace LocalLlm.Tests.Engine;

/// <summary>
/// What an embedding engine does with damaged models, with failing steps, with texts that are too long, and when it is shut down.
/// </summary>
public sealed class EmbeddingFailureTests
{
    private const EmbeddingKinds All = EmbeddingKinds.Dense | EmbeddingKinds.Sparse | EmbeddingKinds.MultiVector;
    private const string Positions = "embeddings.position_embeddings.weight";

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_text_with_non_finite_outputs_fails_alone()
    {
        using var folder = new EncoderFolder(weights => weights[Positions].Values[40 * 192] = float.NaN);
        await using var engine = await folder.LoadAsync(Token);
        int[] Ids(int length) => [.. Enumerable.Range(10, length)];
        foreach (var kinds in (EmbeddingKinds[])[EmbeddingKinds.Dense, EmbeddingKinds.Sparse, EmbeddingKinds.MultiVector, All])
        {
            var damaged = engine.EmbedTokensAsync([Ids(60)], kinds, Token);
            var sound = await engine.EmbedTokensAsync([Ids(20), Ids(30)], kinds, Token);
            Assert.All(sound, text => Assert.True(text.Dense?.All(float.IsFinite) ?? true));
            Assert.Equal(EngineErrorKind.GenerationFailed, (await Assert.ThrowsAsync<EngineException>(() => damaged)).Kind);
        }

        Assert.True(engine.IsAlive);
    }

    [Fact]
    public async Task Quantised_weights_are_refused_by_name()
    {
        using var folder = new EncoderFolder();
        folder.Edit("config.json", json => json["quantization_config"] = new JsonObject { ["quant_method"] = "fp8", ["weight_block_size"] = new JsonArray(128, 128) });
        var error = await Assert.ThrowsAsync<EngineException>(() => folder.LoadAsync(Token));
        Assert.Equal(EngineErrorKind.ModelFolder, error.Kind);
        Assert.Contains("quantization_config: found quant_method 'fp8', which is not supported", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_engine_that_fails_ends_every_request_and_says_so()
    {
        var scope = new object();
        await using var engine = await EmbeddingEngine.LoadAsync(new() { ModelPath = TestPaths.TinyM3, Device = "cpu", MeterScope = scope }, cancellationToken: Token);
        using (var listener = new MeterListener())
        {
            listener.InstrumentPublished = (instrument, own) =>
            {
                if (ReferenceEquals(instrument.Meter.Scope, scope))
                    own.EnableMeasurementEvents(instrument);
            };
            listener.SetMeasurementEventCallback<double>((_, _, _, _) => throw new InvalidOperationException("a listener's fault"));
            listener.Start();
            Assert.Equal(EngineErrorKind.EngineDead, (await Assert.ThrowsAsync<EngineException>(() => engine.EmbedAsync(["a", "b"], cancellationToken: Token))).Kind);
        }

        await engine.Completion;
        Assert.True(engine.HasFailed);
        Assert.Equal(EngineErrorKind.EngineDead, (await Assert.ThrowsAsync<EngineException>(() => engine.EmbedAsync(["a"], cancellationToken: Token))).Kind);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_failing_text_fails_alone_and_an_engine_failure_leaves_no_caller_waiting(bool failsMeanwhile)
    {
        var scope = new object();
        await using var engine = await EmbeddingEngine.LoadAsync(new() { ModelPath = TestPaths.TinyM3, Device = "cpu", MeterScope = scope, DecorateEncoder = KeepPositions(50) }, cancellationToken: Token);
        using var listener = new MeterListener();
        listener.InstrumentPublished = (instrument, own) =>
        {
            if (failsMeanwhile && ReferenceEquals(instrument.Meter.Scope, scope) && instrument.Name == "localllm.request.finished")
                own.EnableMeasurementEvents(instrument);
        };
        listener.SetMeasurementEventCallback<long>((_, _, tags, _) =>
        {
            // Throws when the failure of the long text is measured, before the second half of its step has run.
            if (tags.ToArray().Contains(new("finish_reason", "error")))
                throw new InvalidOperationException("a listener's fault");
        });
        listener.Start();
        // Requests that wait together form one step. The first request keeps the device busy until all the others wait.
        var busy = engine.EmbedTokensAsync([.. Enumerable.Repeat<int[]>([.. Enumerable.Range(10, 40)], 400)], cancellationToken: Token);
        var requests = new[] { 100, 20, 20, 20 }.Select(length => engine.EmbedTokensAsync([[.. Enumerable.Range(10, length)]], cancellationToken: Token)).ToArray();
        await Task.WhenAll(requests.Append(busy)).ContinueWith(_ => { }, TaskScheduler.Default).WaitAsync(TimeSpan.FromMinutes(2), Token);
        Assert.All(requests, request => Assert.True(request.IsCompleted));
        var refused = await Assert.ThrowsAsync<EngineException>(() => requests[0]);
        Assert.Equal(failsMeanwhile ? EngineErrorKind.EngineDead : EngineErrorKind.GenerationFailed, refused.Kind);
        Assert.Equal(failsMeanwhile, engine.HasFailed);
        if (!failsMeanwhile)
            Assert.All(requests[1..], request => Assert.True(request.IsCompletedSuccessfully));
    }

    [Fact]
    public async Task Shutdown_refuses_waiting_texts_unless_there_is_time_for_them()
    {
        int[] text = [.. Enumerable.Range(10, 400)];
        var hurried = await EmbeddingEngine.LoadAsync(new() { ModelPath = TestPaths.TinyM3, Device = "cpu" }, cancellationToken: Token);
        var many = hurried.EmbedTokensAsync([.. Enumerable.Repeat(text, 50_000)], cancellationToken: Token);
        await hurried.DisposeAsync();
        Assert.Equal(EngineErrorKind.ShuttingDown, (await Assert.ThrowsAsync<EngineException>(() => many)).Kind);

        var patient = await EmbeddingEngine.LoadAsync(new() { ModelPath = TestPaths.TinyM3, Device = "cpu", DrainTimeout = TimeSpan.FromMinutes(10) }, cancellationToken: Token);
        var few = patient.EmbedTokensAsync([.. Enumerable.Repeat(text, 30)], cancellationToken: Token);
        await patient.DisposeAsync();
        Assert.Equal(30, (await few).Count);
    }

    [Fact]
    public async Task A_tokenizer_that_knows_more_tokens_than_the_model_is_refused()
    {
        using var folder = new EncoderFolder();
        folder.Edit("tokenizer.json", json => json["added_tokens"]!.AsArray().Add(new JsonObject
        {
            ["id"] = 6000, ["content"] = "<extra>", ["single_word"] = false, ["lstrip"] = false, ["rstrip"] = false, ["normalized"] = false, ["special"] = true,
        }));
        var refusal = await Assert.ThrowsAsync<EngineException>(() => folder.LoadAsync(Token));
        Assert.Contains("6000", refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Heads_are_read_from_safetensors_where_they_are()
    {
        using var folder = new EncoderFolder(safeHeads: true);
        await using var safe = await folder.LoadAsync(Token);
        await using var pickled = await EmbeddingEngine.LoadAsync(new() { ModelPath = TestPaths.TinyM3, Device = "cpu" }, cancellationToken: Token);
        Assert.Equal(All, safe.Kinds);
        var (one, other) = ((await safe.EmbedAsync(["Mona Hall lives in Osaka."], All, cancellationToken: Token))[0], (await pickled.EmbedAsync(["Mona Hall lives in Osaka."], All, cancellationToken: Token))[0]);
        Assert.Equal(other.Dense, one.Dense);
        Assert.Equal(other.Sparse, one.Sparse);
        Assert.Equal(other.MultiVector, one.MultiVector);
    }

    [Fact]
    public async Task Heads_in_safetensors_are_not_taken_for_the_model()
    {
        using var folder = new EncoderFolder(safeHeads: true);
        File.Delete(Path.Combine(folder.Path, "model.safetensors"));
        File.Copy(Path.Combine(TestPaths.TinyM3, "pytorch_model.bin"), Path.Combine(folder.Path, "pytorch_model.bin"));
        await using var engine = await folder.LoadAsync(Token);
        Assert.Equal(All, engine.Kinds);
    }

    [Fact]
    public async Task The_length_of_sentence_transformers_own_configuration_is_respected()
    {
        using var folder = new EncoderFolder();
        folder.Edit("sentence_bert_config.json", json => json["max_seq_length"] = 64);
        await using (var engine = await folder.LoadAsync(Token))
            Assert.Equal(64, engine.MaxModelLen);
        folder.Edit("sentence_bert_config.json", json => json["do_lower_case"] = true);
        Assert.Contains("do_lower_case", (await Assert.ThrowsAsync<EngineException>(() => folder.LoadAsync(Token))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Options_of_generation_are_refused_by_name()
    {
        var options = new EngineOptions { ModelPath = TestPaths.TinyM3, Device = "cpu", Seed = 1, KvCacheMemoryBytes = 1 << 20, SkipTokenizerInit = true };
        var refusal = await Assert.ThrowsAsync<EngineException>(() => EmbeddingEngine.LoadAsync(options, cancellationToken: Token));
        Assert.Equal(EngineErrorKind.InvalidOptions, refusal.Kind);
        Assert.All((string[])["seed", "kv_cache_memory_bytes", "skip_tokenizer_init"], name => Assert.Contains(name, refusal.Message, StringComparison.Ordinal));
    }

    [Fact]
    public async Task What_is_wrong_comes_through_the_task()
    {
        await using var engine = await EmbeddingEngine.LoadAsync(new() { ModelPath = TestPaths.TinyM3, Device = "cpu" }, cancellationToken: Token);
        foreach (var start in (Func<Task>[])
        [
            () => engine.EmbedAsync(["a"], EmbeddingKinds.None, cancellationToken: Token), () => engine.EmbedAsync(["a", null!], cancellationToken: Token),
            () => engine.EmbedTokensAsync([[]], cancellationToken: Token), () => engine.EmbedTokensAsync([null!], cancellationToken: Token), () => engine.EmbedTokensAsync([[0, 6000, 2]], cancellationToken: Token),
        ])
        {
            var task = start();
            Assert.Equal(EngineErrorKind.InvalidRequest, (await Assert.ThrowsAsync<EngineException>(() => task)).Kind);
        }

        Assert.Empty(await engine.EmbedAsync([], cancellationToken: Token));
    }

    [Fact]
    public async Task A_text_of_8192_tokens_is_embedded_as_it_is_beside_others()
    {
        const int positions = 8194, width = 192;
        using var folder = new EncoderFolder(weights =>
        {
            var table = weights[Positions].Values;
            weights[Positions] = ([positions, width], [.. Enumerable.Range(0, positions * width).Select(i => table[i % table.Length])]);
        });
        folder.Edit("config.json", json => json["max_position_embeddings"] = positions);
        folder.Edit("sentence_bert_config.json", json => json["max_seq_length"] = 8192);
        await using var engine = await folder.LoadAsync(Token);
        Assert.Equal(8192, engine.MaxModelLen);
        int[] text = [.. Enumerable.Range(0, 8192).Select(i => 10 + (i * 7919 % 5900))];
        var alone = (await engine.EmbedTokensAsync([text], All, Token))[0];
        var beside = (await engine.EmbedTokensAsync([text[..300], text, [0, 20, 2]], All, Token))[1];
        Assert.Equal(8191, alone.MultiVector!.Count);
        Assert.True(TextEmbedding.DenseScore(alone, beside) > 1 - 1e-5);
        Assert.Equal(alone.Sparse!.Keys.Order(), beside.Sparse!.Keys.Order());
    }

    // Acts like a device that cannot compute longer texts.
    private static Func<IEncoderExecutor, IEncoderExecutor> KeepPositions(int length) =>
        inner => new FaultyEncoder(inner, texts => texts.Any(text => text.Length > length));
}
