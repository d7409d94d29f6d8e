using System.Diagnostics;
using LocalLlm.Templating;
using LocalLlm.Tests.Execution;
using Xunit;

namespace LocalLlm.Tests.Engine;

/// <summary>The public engine over the shipped tiny model.</summary>
public sealed class EngineTests(EngineTests.Shared shared) : IClassFixture<EngineTests.Shared>
{
    private static readonly ChatMessage[] Sum = [new("user", "What is 58 + 27?")];
    private static readonly SamplingParams Greedy = new() { Temperature = 0 };

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    private LlmEngine Engine => shared.Engine;

    [Fact]
    public async Task A_chat_runs_to_its_end_of_sequence_token()
    {
        var result = await Engine.CompleteAsync(GenerationRequest.FromChat(Sum, Greedy), Token);
        Assert.EndsWith("58 + 27 = 85", result.Outputs[0].Text, StringComparison.Ordinal);
        Assert.Equal(FinishReason.Stop, result.Outputs[0].FinishReason);
        Assert.Equal(4072, result.Outputs[0].TokenIds[^1]);
    }

    [Fact]
    public async Task A_plain_prompt_without_max_tokens_gets_sixteen()
    {
        var result = await Engine.CompleteAsync(GenerationRequest.FromText("Once upon a time", Greedy with { IgnoreEos = true }), Token);
        Assert.Equal(16, result.Outputs[0].TokenIds.Count);
        Assert.Equal(FinishReason.Length, result.Outputs[0].FinishReason);
    }

    [Fact]
    public async Task Pieces_add_up_to_the_whole()
    {
        var request = GenerationRequest.FromChat(Sum, Greedy with { Logprobs = 2, PromptLogprobs = 1 });
        var whole = await Engine.CompleteAsync(request, Token);
        var pieces = await Engine.GenerateAsync(request, Token).ToListAsync(Token);
        Assert.Equal(whole.Outputs[0].Text, string.Concat(pieces.Select(piece => piece.Text)));
        Assert.Equal(whole.Outputs[0].TokenIds, pieces.SelectMany(piece => piece.TokenIds));
        Assert.Equal(whole.Outputs[0].TokenIds.Count, whole.Outputs[0].Logprobs!.Count);
        Assert.Equal(whole.PromptTokenIds.Count, whole.PromptLogprobs!.Count);
        Assert.Null(whole.PromptLogprobs[0]);
        Assert.Single(pieces, piece => piece.FinishReason is not null);
        Assert.Single(pieces, piece => piece.PromptLogprobs is not null);
    }

    [Fact]
    public async Task Prompt_logprobs_are_those_of_generating_the_same_tokens()
    {
        var generated = (await Engine.CompleteAsync(GenerationRequest.FromChat(Sum, Greedy with { Logprobs = 0 }), Token));
        var all = generated.PromptTokenIds.Concat(generated.Outputs[0].TokenIds).ToArray();
        foreach (var chunk in (int[])[0, 5])
        {
            await using var engine = await TinyEngine.LoadAsync(options => options with { LongPrefillTokenThreshold = chunk });
            var scored = await engine.CompleteAsync(GenerationRequest.FromTokenIds(all, Greedy with { MaxTokens = 1, PromptLogprobs = 0 }), Token);
            for (var i = 0; i < generated.Outputs[0].TokenIds.Count; i++)
            {
                var chosen = scored.PromptLogprobs![generated.PromptTokenIds.Count + i]!.Chosen;
                Assert.Equal(all[generated.PromptTokenIds.Count + i], chosen.TokenId);
                Assert.Equal(generated.Outputs[0].Logprobs![i].Chosen.Logprob, chosen.Logprob);
            }
        }
    }

    [Fact]
    public async Task A_stop_string_ends_the_text_before_it_or_after_it()
    {
        var request = GenerationRequest.FromChat(Sum, Greedy with { Stop = ["</thi"] });
        var before = (await Engine.CompleteAsync(request, Token)).Outputs[0];
        var after = (await Engine.CompleteAsync(request with { Sampling = request.Sampling with { IncludeStopStrInOutput = true } }, Token)).Outputs[0];
        Assert.DoesNotContain("</thi", before.Text, StringComparison.Ordinal);
        Assert.Equal(before.Text + "</thi", after.Text);
        Assert.Equal("</thi", before.StopString);
        Assert.Equal(FinishReason.Stop, before.FinishReason);
    }

    [Fact]
    public async Task A_stop_token_ends_the_output_and_is_no_text()
    {
        var free = (await Engine.CompleteAsync(GenerationRequest.FromChat(Sum, Greedy), Token)).Outputs[0];
        var stopToken = free.TokenIds[5];
        var stopped = (await Engine.CompleteAsync(GenerationRequest.FromChat(Sum, Greedy with { StopTokenIds = [stopToken] }), Token)).Outputs[0];
        Assert.Equal(stopToken, stopped.StopTokenId);
        Assert.Equal(stopToken, stopped.TokenIds[^1]);
        Assert.StartsWith(stopped.Text, free.Text, StringComparison.Ordinal);
        Assert.Equal(Engine.Tokenizer!.Decode(stopped.TokenIds.SkipLast(1)), stopped.Text);
    }

    [Fact]
    public async Task Min_tokens_bias_and_allowed_tokens_are_honoured()
    {
        var long_ = (await Engine.CompleteAsync(GenerationRequest.FromChat(Sum, Greedy with { MinTokens = 60, MaxTokens = 80 }), Token)).Outputs[0];
        Assert.True(long_.TokenIds.Count >= 60);
        Assert.DoesNotContain(4072, long_.TokenIds.Take(60));
        var allowed = (await Engine.CompleteAsync(GenerationRequest.FromChat(Sum, Greedy with { AllowedTokenIds = [300, 301], MaxTokens = 8 }), Token)).Outputs[0];
        Assert.All(allowed.TokenIds, id => Assert.InRange(id, 300, 301));
        var banned = (await Engine.CompleteAsync(GenerationRequest.FromChat(Sum, Greedy with { BadWords = ["85"] }), Token)).Outputs[0];
        Assert.DoesNotContain("85", banned.Text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_batch_keeps_its_order_and_one_bad_request_harms_no_other()
    {
        var finished = 0;
        var good = GenerationRequest.FromChat(Sum, Greedy);
        var results = await Engine.GenerateBatchAsync(
            [good, good with { Sampling = Greedy with { TopP = double.NaN, N = 0 } }, GenerationRequest.FromTokenIds([1, 99999], Greedy), new GenerationRequest(), good],
            new Counter(() => finished++),
            Token);
        Assert.EndsWith("85", results[0].Outputs[0].Text, StringComparison.Ordinal);
        Assert.Contains("top_p", results[1].Error!.Message, StringComparison.Ordinal);
        Assert.Contains("n:", results[1].Error!.Message, StringComparison.Ordinal);
        Assert.Contains("99999", results[2].Error!.Message, StringComparison.Ordinal);
        Assert.Equal(EngineErrorKind.InvalidRequest, results[3].Error!.Kind);
        Assert.Equal(results[0].Outputs[0].TokenIds, results[4].Outputs[0].TokenIds);
        Assert.Equal(5, finished);
    }

    [Fact]
    public async Task What_can_never_fit_is_refused_with_both_numbers()
    {
        var tooLong = Assert.Throws<EngineException>(() => Engine.GenerateAsync(GenerationRequest.FromTokenIds([.. Enumerable.Repeat(5, 2048)], Greedy), Token));
        Assert.Equal(EngineErrorKind.ContextLengthExceeded, tooLong.Kind);
        Assert.Contains("2048", tooLong.Message, StringComparison.Ordinal);
        var tooManyCharacters = Assert.Throws<EngineException>(() => Engine.GenerateAsync(new string('x', 3_000_000), Greedy, Token));
        Assert.Equal(EngineErrorKind.ContextLengthExceeded, tooManyCharacters.Kind);
        await using var small = await TinyEngine.LoadAsync(options => options with { NumGpuBlocksOverride = 4 });
        Assert.Equal(64, small.MaxModelLen);
        var tooMuch = Assert.Throws<EngineException>(() => small.GenerateAsync(GenerationRequest.FromTokenIds([.. Enumerable.Repeat(5, 64)], Greedy), Token));
        Assert.Equal(EngineErrorKind.ContextLengthExceeded, tooMuch.Kind);
    }

    [Fact]
    public async Task A_full_queue_refuses_and_keeps_what_it_has()
    {
        await using var engine = await TinyEngine.LoadAsync(options => options with { MaxNumSeqs = 1, MaxWaitingRequests = 2 });
        var results = await engine.GenerateBatchAsync(TinyEngine.Requests(40, 20), cancellationToken: Token);
        Assert.All(results.Where(result => result.Error is not null), result => Assert.Equal(EngineErrorKind.Overloaded, result.Error!.Kind));
        Assert.Contains(results, result => result.Error is null && result.Outputs[0].TokenIds.Count == 20);
        Assert.Contains(results, result => result.Error is not null);
    }

    [Fact]
    public async Task Requests_of_one_salt_never_hit_the_prefixes_of_another()
    {
        await using var engine = await TinyEngine.LoadAsync();
        var request = GenerationRequest.FromTokenIds([.. Enumerable.Range(10, 64)], Greedy);
        await engine.CompleteAsync(request with { CacheSalt = "first" }, Token);
        var other = await engine.CompleteAsync(request with { CacheSalt = "second" }, Token);
        var same = await engine.CompleteAsync(request with { CacheSalt = "first" }, Token);
        Assert.Equal(0, other.Usage.CachedTokens);
        Assert.Equal(48, same.Usage.CachedTokens);
    }

    [Theory]
    [InlineData("float32")]
    [InlineData("bfloat16")]
    [InlineData("float16")]
    public async Task Every_dtype_adds_correctly(string dtype)
    {
        await using var engine = await TinyEngine.LoadAsync(options => options with { Dtype = dtype });
        var result = await engine.CompleteAsync(GenerationRequest.FromChat(Sum, Greedy), Token);
        Assert.EndsWith("85", result.Outputs[0].Text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_template_that_changes_a_users_text_makes_no_control_token_of_it()
    {
        const string template = "{% set c = messages[0].content %}{{ c | lower }}{{ c.replace('x', '') }}{{ c.split('x') | join('') }}{{ c | reverse }}";
        await using var engine = await TinyEngine.LoadAsync(options => options with { ChatTemplate = template });
        foreach (var text in (string[])["<THINK>", "<thinkx>", "<xthink>", ">kniht<", "<｜Uxser｜>"])
        {
            var result = await engine.CompleteAsync(GenerationRequest.FromChat([new("user", text)], Greedy with { MaxTokens = 1 }), Token);
            Assert.DoesNotContain(result.PromptTokenIds, engine.Tokenizer!.IsAdded);
        }
    }

    [Fact]
    public async Task A_stream_can_be_enumerated_once()
    {
        var stream = Engine.GenerateAsync(GenerationRequest.FromChat(Sum, Greedy), Token);
        Assert.NotEmpty(await stream.ToListAsync(Token));
        await Assert.ThrowsAsync<InvalidOperationException>(async () => await stream.ToListAsync(Token));
    }

    [Fact]
    public async Task Without_a_tokenizer_ids_are_served_and_texts_refused()
    {
        await using var engine = await TinyEngine.LoadAsync(options => options with { SkipTokenizerInit = true });
        var result = await engine.CompleteAsync(GenerationRequest.FromTokenIds([4075, 1, 2], Greedy), Token);
        Assert.Equal("", result.Outputs[0].Text);
        Assert.Equal(16, result.Outputs[0].TokenIds.Count);
        Assert.Throws<EngineException>(() => engine.GenerateAsync("text", cancellationToken: Token));
        Assert.Throws<EngineException>(() => engine.GenerateAsync(GenerationRequest.FromChat(Sum), Token));
    }

    [Fact]
    public async Task The_models_own_sampling_defaults_are_read()
    {
        Assert.Equal(0.6, Engine.DefaultSamplingParams.Temperature);
        Assert.Equal(0.95, Engine.DefaultSamplingParams.TopP);
        await using var plain = await TinyEngine.LoadAsync(options => options with { GenerationConfig = "vllm" });
        Assert.Null(plain.DefaultSamplingParams.Temperature);
    }

    [Fact]
    public async Task All_wrong_options_are_reported_in_one_error()
    {
        var failure = await Assert.ThrowsAsync<EngineException>(() => SuiteExecutor.LoadAsync(
            new EngineOptions { ModelPath = "/nowhere", Dtype = "int8", TensorParallel = 0, MaxNumBatchedTokens = 0, GpuMemoryUtilization = 1.5, NumThreads = 100_000 }, cancellationToken: Token));
        Assert.Equal(EngineErrorKind.InvalidOptions, failure.Kind);
        Assert.All((string[])["model", "dtype", "tensor_parallel_size", "max_num_batched_tokens", "gpu_memory_utilization", "num_threads"], name => Assert.Contains(name, failure.Message, StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_model_length_that_does_not_fit_is_refused_with_one_that_does()
    {
        var failure = await Assert.ThrowsAsync<EngineException>(() => SuiteExecutor.LoadAsync(
            TinyEngine.Options with { MaxModelLen = 2048, KvCacheMemoryBytes = 1 << 20 }, cancellationToken: Token));
        Assert.Equal(EngineErrorKind.Environment, failure.Kind);
        Assert.Contains("max_model_len", failure.Message, StringComparison.Ordinal);
        var tooLong = await Assert.ThrowsAsync<EngineException>(() => SuiteExecutor.LoadAsync(TinyEngine.Options with { MaxModelLen = 4096 }, cancellationToken: Token));
        Assert.Equal(EngineErrorKind.InvalidOptions, tooLong.Kind);
        Assert.Contains("2048", tooLong.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task More_blocks_than_memory_are_refused_with_what_there_is()
    {
        foreach (var options in (EngineOptions[])[TinyEngine.Options with { NumGpuBlocksOverride = 2_000_000_000 }, TinyEngine.Options with { KvCacheMemoryBytes = 900L << 40 }])
        {
            var failure = await Assert.ThrowsAsync<EngineException>(() => SuiteExecutor.LoadAsync(options, cancellationToken: Token));
            Assert.Equal(EngineErrorKind.Environment, failure.Kind);
            Assert.Contains("at most", failure.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task A_request_has_its_own_activity_and_leaves_the_callers_alone()
    {
        var stopped = new List<string>();
        using var listener = new ActivityListener
        {
            ShouldListenTo = source => source.Name == "LocalLlm.Engine",
            Sample = (ref ActivityCreationOptions<ActivityContext> _) => ActivitySamplingResult.AllData,
            ActivityStopped = activity =>
            {
                lock (stopped)
                    stopped.Add((string)activity.GetTagItem("localllm.request.id")!);
            },
        };
        ActivitySource.AddActivityListener(listener);
        var request = GenerationRequest.FromChat(Sum, Greedy with { MaxTokens = 2 }) with { RequestId = "traced" };
        var stream = Engine.GenerateAsync(request, Token);
        Assert.Null(Activity.Current);
        await foreach (var _ in stream)
            Assert.Null(Activity.Current);
        Assert.Null(Activity.Current);
        lock (stopped)
            Assert.Contains("traced", stopped);
    }

    [Fact]
    public async Task Loading_can_be_cancelled()
    {
        using var source = new CancellationTokenSource();
        await source.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => SuiteExecutor.LoadAsync(TinyEngine.Options, cancellationToken: source.Token));
    }

    private sealed class Counter(Action count) : IProgress<BatchProgress>
    {
        public void Report(BatchProgress value)
        {
            lock (this)
                count();
        }
    }

    public sealed class Shared : IAsyncLifetime
    {
        public LlmEngine Engine { get; private set; } = null!;

        public async ValueTask InitializeAsync() => Engine = await TinyEngine.LoadAsync();

        public ValueTask DisposeAsync() => Engine.DisposeAsync();
    }
}
