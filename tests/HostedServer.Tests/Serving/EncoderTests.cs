using System.Net;
using System.Runtime.CompilerServices;
using System.Text.Json;
using LocalLlm.Extensions.AI;
using LocalLlm.Server.Http;
using LocalLlm.Tests.Execution;
using LocalLlm.Tests;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Xunit;

namespace LocalLlm.Server.Tests.Serving;

/// <summary>A server that serves only an embedding model.</summary>
public sealed class EncoderTests(EncoderServer encoder) : IClassFixture<EncoderServer>
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    private TestServer Server => encoder.Server;

    [Fact]
    public async Task It_embeds_and_lists_its_model_as_any_server_does()
    {
        var made = await Server.AskAsync("/v1/embeddings", """{"input":"the server is in Dublin"}""");
        Assert.Equal("tiny-m3", made.GetProperty("model").GetString());
        var models = JsonDocument.Parse(await GetAsync("/v1/models")).RootElement.GetProperty("data").EnumerateArray().ToArray();
        Assert.Equal(["tiny-m3"], models.Select(model => model.GetProperty("id").GetString()));
        Assert.Equal(512, models[0].GetProperty("max_model_len").GetInt32());
        Assert.Equal("tiny-m3", JsonDocument.Parse(await GetAsync("/v1/models/tiny-m3")).RootElement.GetProperty("id").GetString());
        using var unknown = await Server.Client.GetAsync(new Uri("/v1/models/x", UriKind.Relative), Token);
        Assert.Equal(HttpStatusCode.NotFound, unknown.StatusCode);
    }

    [Fact]
    public async Task Its_tokens_are_those_that_it_embeds_and_come_back_as_text()
    {
        var tokens = await Server.AskAsync("/tokenize", """{"prompt":"a </s> b","return_token_strs":true}""");
        var embedded = await Server.AskAsync("/v1/embeddings", """{"input":"a </s> b"}""");
        Assert.Equal(embedded.GetProperty("usage").GetProperty("prompt_tokens").GetInt32(), tokens.GetProperty("count").GetInt32());
        Assert.Equal(512, tokens.GetProperty("max_model_len").GetInt32());
        var plain = await Server.AskAsync("/tokenize", """{"prompt":"Mona Hall","add_special_tokens":false}""");
        Assert.Equal("Mona Hall", (await Server.AskAsync("/detokenize", $$"""{"tokens":{{plain.GetProperty("tokens").GetRawText()}}}""")).GetProperty("prompt").GetString());
        await RefusedAsync("/tokenize", """{"messages":[{"role":"user","content":"a"}]}""", 400, "messages", null);
        await RefusedAsync("/tokenize", """{"prompt":"a","model":"x"}""", 404, "model", "model_not_found");
        await RefusedAsync("/detokenize", """{"tokens":[99999999]}""", 400, "tokens", null);
    }

    [Theory]
    [InlineData("/v1/chat/completions", """{"messages":[{"role":"user","content":"Hi"}]}""")]
    [InlineData("/v1/completions", """{"prompt":"Hi"}""")]
    public async Task It_says_that_it_generates_nothing(string path, string body) => await RefusedAsync(path, body, 400, "model", "model_not_supported");

    [Fact]
    public async Task There_is_no_page_and_no_map_of_a_cache()
    {
        using var page = await Server.Client.GetAsync(new Uri("/", UriKind.Relative), Token);
        Assert.Equal(HttpStatusCode.NotFound, page.StatusCode);
        using var engine = await Server.Client.GetAsync(new Uri("/engine", UriKind.Relative), Token);
        Assert.Equal(HttpStatusCode.BadRequest, engine.StatusCode);
    }

    [Fact]
    public async Task It_is_ready_and_healthy_and_says_its_version()
    {
        Assert.Contains("\"ready\"", await GetAsync("/ready"), StringComparison.Ordinal);
        Assert.Equal("", await GetAsync("/health"));
        Assert.Contains("version", await GetAsync("/version"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Readiness_embeds_something_which_metrics_do_not_count()
    {
        await using var server = new TestServer(null, isEncoder: true);
        await server.InitializeAsync();
        Assert.Equal(0, server.Embedder.Statistics.Embedded);
        using (var ready = await server.Client.GetAsync(new Uri("/ready", UriKind.Relative), Token))
            Assert.Equal(HttpStatusCode.OK, ready.StatusCode);
        Assert.Equal(1, server.Embedder.Statistics.Embedded);
        var made = await server.AskAsync("/v1/embeddings", """{"input":["a b c","d"]}""");
        var metrics = await server.Client.GetStringAsync(new Uri("/metrics", UriKind.Relative), Token);
        var lines = metrics.Split('\n');
        foreach (var name in (string[])["localllm_prompt_tokens_total", "vllm:prompt_tokens_total"])
            Assert.Contains($"{name}{{model_name=\"tiny-m3\"}} {made.GetProperty("usage").GetProperty("prompt_tokens").GetInt32()}", lines);
        Assert.Contains("localllm_request_finished_total{model_name=\"tiny-m3\",finish_reason=\"stop\"} 2", lines);
        Assert.Contains("vllm:e2e_request_latency_seconds_count{model_name=\"tiny-m3\",finished_reason=\"stop\"} 2", lines);
        Assert.Contains("localllm_requests_waiting{model_name=\"tiny-m3\"} 0", lines);
        Assert.Contains("vllm:num_requests_running{model_name=\"tiny-m3\"} 0", lines);
    }

    [Fact]
    public async Task Two_models_have_series_of_their_own_under_one_heading()
    {
        await using var server = new TestServer(null, embeddingModel: TestPaths.TinyM3);
        await server.InitializeAsync();
        await server.AskAsync("/v1/embeddings", """{"input":"a"}""");
        await server.AskAsync("/v1/completions", """{"prompt":"a","max_tokens":1}""");
        var lines = (await server.Client.GetStringAsync(new Uri("/metrics", UriKind.Relative), Token)).Split('\n');
        Assert.Single(lines, "# TYPE localllm_prompt_tokens_total counter");
        Assert.Contains(lines, line => line.StartsWith("localllm_prompt_tokens_total{model_name=\"tiny-m3\"} ", StringComparison.Ordinal));
        Assert.Contains(lines, line => line.StartsWith("localllm_prompt_tokens_total{model_name=\"tiny-r1\"} ", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Readiness_reports_phase_and_percentage_while_loading()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        builder.Services.AddLocalLlmEmbeddings(options => options.ModelPath = TestPaths.TinyM3);
        builder.Services.AddLocalLlmServer();
        // The model is never loaded.
        builder.Services.RemoveAll<IHostedService>();
        await using var app = builder.Build();
        app.MapLocalLlmOpenAI();
        app.MapLocalLlmOperations();
        await app.StartAsync(Token);
        ((IProgress<LoadProgress>)app.Services.GetRequiredService<IModelHost<EmbeddingEngine>>()).Report(new("reading weights", 50, 200));
        using var client = new HttpClient { BaseAddress = new(app.Urls.First()) };
        using var ready = await client.GetAsync(new Uri("/ready", UriKind.Relative), Token);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, ready.StatusCode);
        Assert.Equal(25, JsonDocument.Parse(await ready.Content.ReadAsStringAsync(Token)).RootElement.GetProperty("percent").GetDouble());
        foreach (var path in (string[])["/v1/embeddings", "/rerank", "/score", "/tokenize", "/v1/chat/completions"])
        {
            using var answer = await client.PostAsync(new Uri(path, UriKind.Relative), new StringContent("{}", null, "application/json"), Token);
            Assert.Equal(HttpStatusCode.ServiceUnavailable, answer.StatusCode);
            Assert.Contains("reading weights, 25.0 %", await answer.Content.ReadAsStringAsync(Token), StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task A_device_that_fails_is_reported_and_ends_the_application()
    {
        var isBroken = new StrongBox<bool>();
        await using var server = new TestServer(null, Breaks(isBroken), isEncoder: true);
        await server.InitializeAsync();
        var stopping = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        server.App.Lifetime.ApplicationStopping.Register(stopping.SetResult);
        Volatile.Write(ref isBroken.Value, true);
        using var answer = await server.PostAsync("/v1/embeddings", """{"input":"a"}""", cancellationToken: Token);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, answer.StatusCode);
        Http.HostileInputTests.AssertError(await answer.Content.ReadAsStringAsync(Token), null, "engine_dead");
        await server.Embedder.Completion;
        Assert.True(server.Embedder.HasFailed);
        using var health = await server.Client.GetAsync(new Uri("/health", UriKind.Relative), Token);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, health.StatusCode);
        await stopping.Task;
        Assert.Equal(EngineErrorKind.EngineDead, Assert.IsType<EngineException>(server.Services.GetRequiredService<EngineWatch>().Failure).Kind);
    }

    [Fact]
    public async Task A_failing_embedding_device_is_reported_and_ends_the_application()
    {
        var isBroken = new StrongBox<bool>();
        await using var server = new TestServer(null, Breaks(isBroken), embeddingModel: TestPaths.TinyM3);
        await server.InitializeAsync();
        var stopping = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        server.App.Lifetime.ApplicationStopping.Register(stopping.SetResult);
        // These services are resolved now, because the application may stop before they are used.
        var (embedder, served, operations) = (server.Embedder, server.Services.GetRequiredService<ServedEngine>(), server.Services.GetRequiredService<OperationsEndpoints>());
        Volatile.Write(ref isBroken.Value, true);
        using var failed = await server.PostAsync("/v1/embeddings", """{"input":"a"}""", cancellationToken: Token);
        Http.HostileInputTests.AssertError(await failed.Content.ReadAsStringAsync(Token), null, "engine_dead");
        await embedder.Completion;
        Assert.True(served.HasFailed);
        Assert.Equal("engine_dead", Assert.Throws<ApiException>(() => served.RequireEmbedder("tiny-m3")).Error.Code);
        foreach (var ask in (Func<HttpContext, Task>[])[operations.HealthAsync, operations.ReadyAsync])
        {
            var context = new DefaultHttpContext { RequestServices = server.Services };
            await ask(context);
            Assert.Equal(StatusCodes.Status503ServiceUnavailable, context.Response.StatusCode);
        }

        await stopping.Task;
        Assert.Contains("tiny-m3", Assert.IsType<EngineException>(server.Services.GetRequiredService<EngineWatch>().Failure).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_server_that_must_end_tells_those_whose_ranking_is_not_done()
    {
        await using var server = new TestServer(options => options.ShutdownTimeout = TimeSpan.Zero, isEncoder: true);
        await server.InitializeAsync();
        var asking = server.PostAsync("/rerank", JsonSerializer.Serialize(new { query = "a", documents = Enumerable.Repeat(string.Join(' ', Enumerable.Repeat("the server is in Dublin", 80)), 2000) }), cancellationToken: Token);
        while (server.Embedder.Statistics.Embedded == 0)
            await Task.Yield();
        var stopping = server.App.StopAsync(Token);
        using var answer = await asking;
        Assert.Equal(HttpStatusCode.ServiceUnavailable, answer.StatusCode);
        Http.HostileInputTests.AssertError(await answer.Content.ReadAsStringAsync(Token), null, "shutting_down");
        await stopping;
    }

    [Fact]
    public async Task A_model_beside_that_cannot_be_loaded_is_logged_and_the_other_goes_on()
    {
        var logged = new TaskCompletionSource<string>(TaskCreationOptions.RunContinuationsAsynchronously);
        var builder = WebApplication.CreateSlimBuilder();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        builder.Logging.ClearProviders().AddProvider(new Errors(logged));
        builder.Services.AddLocalLlm(options => (options.ModelPath, options.Device) = (TestPaths.TinyR1, "cpu"));
        builder.Services.AddLocalLlmEmbeddings(options => (options.ModelPath, options.ModelId) = (TestPaths.TinyR1, "m3"));
        builder.Services.AddLocalLlmServer();
        await using var app = builder.Build();
        app.MapLocalLlmOpenAI();
        await app.StartAsync(Token);
        Assert.Contains("XLMRobertaModel", await logged.Task, StringComparison.Ordinal);
        await app.Services.GetRequiredService<IModelHost<LlmEngine>>().GetAsync(Token);
        using var client = new HttpClient { BaseAddress = new(app.Urls.First()) };
        using var refused = await client.PostAsync(new Uri("/v1/rerank", UriKind.Relative), new StringContent("""{"query":"a","documents":["b"]}""", null, "application/json"), Token);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, refused.StatusCode);
        Http.HostileInputTests.AssertError(await refused.Content.ReadAsStringAsync(Token), null, "load_failed");
        using var answer = await client.PostAsync(new Uri("/v1/completions", UriKind.Relative), new StringContent("""{"prompt":"a","max_tokens":1}""", null, "application/json"), Token);
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
    }

    [Fact]
    public async Task Its_weights_of_scores_come_from_the_configuration_too()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Configuration.AddInMemoryCollection([new("LocalLlm:Server:ScoreWeights:Dense", "1"), new("LocalLlm:Server:ScoreWeights:Sparse", "0.5"), new("LocalLlm:Server:ScoreWeights:MultiVector", "0")]);
        builder.Services.AddLocalLlmEmbeddings(options => options.ModelPath = TestPaths.TinyM3);
        builder.Services.AddLocalLlmServer();
        await using var app = builder.Build();
        Assert.Equal(new(1, 0.5, 0), app.Services.GetRequiredService<LocalLlmServerOptions>().ScoreWeights);
    }

    private sealed class Errors(TaskCompletionSource<string> logged) : ILoggerProvider, ILogger
    {
        public ILogger CreateLogger(string categoryName) => this;

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => logLevel >= LogLevel.Error;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) => logged.TrySetResult(formatter(state, exception));

        public void Dispose()
        {
        }
    }

    // Once the test sets the flag, every step fails, as on a broken device.
    private static Func<EngineOptions, EngineOptions> Breaks(StrongBox<bool> isBroken) =>
        options => options with { DecorateEncoder = inner => new FaultyEncoder(inner, _ => Volatile.Read(ref isBroken.Value)) };

    private Task<string> GetAsync(string path) => Server.Client.GetStringAsync(new Uri(path, UriKind.Relative), Token);

    private async Task RefusedAsync(string path, string body, int status, string? param, string? code)
    {
        using var response = await Server.PostAsync(path, body, cancellationToken: Token);
        Assert.Equal(status, (int)response.StatusCode);
        Http.HostileInputTests.AssertError(await response.Content.ReadAsStringAsync(Token), param, code);
    }
}
