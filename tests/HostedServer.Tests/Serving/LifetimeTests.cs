using System.Diagnostics;
using System.Net;
using System.Text.Json;
using LocalLlm.Extensions.AI;
using LocalLlm.Server.Http;
using LocalLlm.Tests;
using LocalLlm.Tests.Execution;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Hosting;
using Xunit;

namespace LocalLlm.Server.Tests.Serving;

/// <summary>The server from the moment that it listens until it has stopped.</summary>
public sealed class LifetimeTests
{
    private const string Short = """{"prompt":"Once upon a time","max_tokens":400,"ignore_eos":true,"stream":true}""";
    private const string Long = """{"prompt":"Once upon a time","max_tokens":1900,"n":32,"temperature":1,"ignore_eos":true,"stream":true}""";

    [Fact]
    public async Task While_the_model_loads_the_phase_and_the_percentage_are_reported()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        builder.Services.AddLocalLlm(options => options.ModelPath = TestPaths.TinyR1);
        builder.Services.AddLocalLlmServer();
        // The model is never loaded.
        builder.Services.RemoveAll<IHostedService>();
        await using var app = builder.Build();
        app.MapLocalLlmOpenAI("/api");
        app.MapLocalLlmOperations();
        await app.StartAsync(TestContext.Current.CancellationToken);
        ((IProgress<LoadProgress>)app.Services.GetRequiredService<IModelHost<LlmEngine>>()).Report(new("loading the weights", 50, 200));
        using var client = new HttpClient { BaseAddress = new(app.Urls.First()) };

        using var ready = await client.GetAsync(new Uri("/ready", UriKind.Relative), TestContext.Current.CancellationToken);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, ready.StatusCode);
        var state = JsonDocument.Parse(await ready.Content.ReadAsStringAsync(TestContext.Current.CancellationToken)).RootElement;
        Assert.Equal("model_loading", state.GetProperty("status").GetString());
        Assert.Equal("loading the weights", state.GetProperty("phase").GetString());
        Assert.Equal(25, state.GetProperty("percent").GetDouble());

        using var answer = await client.PostAsync(new Uri("/api/completions", UriKind.Relative), new StringContent("{}", null, "application/json"), TestContext.Current.CancellationToken);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, answer.StatusCode);
        Assert.NotNull(answer.Headers.RetryAfter);
        Assert.Contains("loading the weights, 25.0 %", await answer.Content.ReadAsStringAsync(TestContext.Current.CancellationToken), StringComparison.Ordinal);
        using var health = await client.GetAsync(new Uri("/health", UriKind.Relative), TestContext.Current.CancellationToken);
        Assert.Equal(HttpStatusCode.OK, health.StatusCode);
    }

    [Fact]
    public async Task A_drain_lets_answers_finish_and_refuses_new_ones()
    {
        await using var server = new TestServer();
        await server.InitializeAsync();
        var running = server.PostAsync("/v1/completions", Short, cancellationToken: TestContext.Current.CancellationToken);
        while (server.Services.GetRequiredService<Admission>().Requests == 0)
            await server.AskAsync("/tokenize", """{"prompt":"a"}""");
        var stopping = server.App.StopAsync(TestContext.Current.CancellationToken);
        using (var refused = await server.PostAsync("/v1/completions", Short, cancellationToken: TestContext.Current.CancellationToken))
        {
            Assert.Equal(HttpStatusCode.ServiceUnavailable, refused.StatusCode);
            Assert.Contains("shutting_down", await refused.Content.ReadAsStringAsync(TestContext.Current.CancellationToken), StringComparison.Ordinal);
        }

        using (var ready = await server.Client.GetAsync(new Uri("/ready", UriKind.Relative), TestContext.Current.CancellationToken))
            Assert.Equal(HttpStatusCode.ServiceUnavailable, ready.StatusCode);
        using var answer = await running;
        Assert.EndsWith("data: [DONE]\n\n", await answer.Content.ReadAsStringAsync(TestContext.Current.CancellationToken), StringComparison.Ordinal);
        await stopping;
    }

    [Theory]
    [InlineData("/v1/completions", """{"prompt":"Once upon a time","max_tokens":1900,"n":32,"temperature":1,"ignore_eos":true,"stream":true}""", 0)]
    [InlineData("/v1/completions", """{"prompt":["Once upon a time","The capital"],"max_tokens":1900,"n":8,"temperature":1,"ignore_eos":true,"stream":true,"logprobs":1,"echo":true}""", 0)]
    [InlineData("/v1/chat/completions", """{"messages":[{"role":"user","content":"Hi"}],"max_tokens":1900,"n":32,"temperature":1,"ignore_eos":true,"stream":true,"stream_options":{"include_usage":true}}""", 0)]
    [InlineData("/v1/completions", """{"prompt":"Once upon a time","max_tokens":1900,"n":32,"temperature":1,"ignore_eos":true,"stream":true}""", 0.2)]
    public async Task An_answer_that_the_shutdown_ends_can_be_read_to_its_end(string path, string body, double grace)
    {
        await using var server = new TestServer(options => options.ShutdownTimeout = TimeSpan.FromSeconds(grace));
        await server.InitializeAsync();
        using var reader = await BeginAsync(server, path, body);
        var watch = Stopwatch.StartNew();
        var stopping = server.App.StopAsync(TestContext.Current.CancellationToken);
        await AssertEndsWithErrorAsync(reader, "shutting_down");
        await stopping;
        Assert.True(watch.Elapsed < TimeSpan.FromSeconds(8), watch.Elapsed.ToString());
    }

    private static async Task<StreamReader> BeginAsync(TestServer server, string path, string body)
    {
        var request = new HttpRequestMessage(HttpMethod.Post, new Uri(path, UriKind.Relative)) { Content = new StringContent(body, null, "application/json") };
        var answer = await server.Client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, TestContext.Current.CancellationToken);
        var reader = new StreamReader(await answer.Content.ReadAsStreamAsync(TestContext.Current.CancellationToken));
        Assert.StartsWith("data: {", await reader.ReadLineAsync(TestContext.Current.CancellationToken), StringComparison.Ordinal);
        return reader;
    }

    // A client must be able to read to the end; a reset connection would throw here.
    private static async Task AssertEndsWithErrorAsync(StreamReader reader, string code)
    {
        var events = (await reader.ReadToEndAsync(TestContext.Current.CancellationToken)).Split("\n\n", StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal("data: [DONE]", events[^1]);
        var error = JsonDocument.Parse(events[^2]["data: ".Length..]).RootElement.GetProperty("error");
        Assert.Equal(code, error.GetProperty("code").GetString());
        Assert.Single(events, item => item.Contains("\"error\"", StringComparison.Ordinal));
    }

    [Fact]
    public async Task An_engine_that_dies_ends_its_answers_and_the_application()
    {
        var dies = false;
        var faults = new FaultyExecutorFactory(_ => Volatile.Read(ref dies) ? Fault.DieAtComplete : Fault.None);
        await using var server = new TestServer(null, engine => engine with { ExecutorFactory = faults });
        await server.InitializeAsync();
        using var reader = await BeginAsync(server, "/v1/completions", Long);
        var stopping = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        server.App.Lifetime.ApplicationStopping.Register(stopping.SetResult);

        Volatile.Write(ref dies, true);

        await AssertEndsWithErrorAsync(reader, "engine_dead");
        // Only the log may contain the exception's own text.
        Assert.DoesNotContain("secret", await Assert.ThrowsAsync<EngineException>(() => server.Engine.CompleteAsync(GenerationRequest.FromText("a"), TestContext.Current.CancellationToken)) is var dead ? dead.Message : "", StringComparison.Ordinal);
        await stopping.Task;
        Assert.Equal(EngineErrorKind.EngineDead, Assert.IsType<EngineException>(server.Services.GetRequiredService<LocalLlmServerLifetime>().Failure).Kind);
        using var health = await server.Client.GetAsync(new Uri("/health", UriKind.Relative), TestContext.Current.CancellationToken);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, health.StatusCode);
    }

    [Theory]
    [InlineData("POST /v1/completions HTTP/1.1\r\nHo")]
    [InlineData("POST /v1/completions HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 9000\r\n\r\n{")]
    public async Task Half_a_request_does_not_keep_the_server_up(string half)
    {
        await using var server = new TestServer(options => options.ShutdownTimeout = TimeSpan.Zero);
        await server.InitializeAsync();
        using var client = new System.Net.Sockets.TcpClient();
        await client.ConnectAsync("127.0.0.1", server.Address.Port, TestContext.Current.CancellationToken);
        await client.GetStream().WriteAsync(System.Text.Encoding.ASCII.GetBytes(half), TestContext.Current.CancellationToken);
        await server.AskAsync("/tokenize", """{"prompt":"a"}""");
        var watch = Stopwatch.StartNew();
        await server.App.StopAsync(TestContext.Current.CancellationToken);
        Assert.True(watch.Elapsed < TimeSpan.FromSeconds(5), watch.Elapsed.ToString());
    }

    [Fact]
    public async Task A_stream_that_waits_for_its_first_token_gets_an_error_when_the_server_ends()
    {
        await using var server = new TestServer(options => options.ShutdownTimeout = TimeSpan.Zero, engine => engine with { MaxNumSeqs = 1 });
        await server.InitializeAsync();
        var admission = server.Services.GetRequiredService<Admission>();
        var running = server.PostAsync("/v1/completions", Long.Replace("\"n\":32", "\"n\":1", StringComparison.Ordinal), cancellationToken: TestContext.Current.CancellationToken);
        while (server.Engine.Statistics.Running == 0)
            await server.AskAsync("/tokenize", """{"prompt":"a"}""");
        var waiting = ((string[])["true", "false"]).Select(stream => server.PostAsync("/v1/completions", $$"""{"prompt":["a","b"],"stream":{{stream}}}""", cancellationToken: TestContext.Current.CancellationToken)).ToArray();
        while (admission.Requests < 3)
            await server.AskAsync("/tokenize", """{"prompt":"a"}""");
        var stopping = server.App.StopAsync(TestContext.Current.CancellationToken);
        foreach (var answer in await Task.WhenAll(waiting))
        {
            Assert.Equal(HttpStatusCode.ServiceUnavailable, answer.StatusCode);
            Assert.Contains("shutting_down", await answer.Content.ReadAsStringAsync(TestContext.Current.CancellationToken), StringComparison.Ordinal);
        }

        using var ended = await running;
        Assert.EndsWith("data: [DONE]\n\n", await ended.Content.ReadAsStringAsync(TestContext.Current.CancellationToken), StringComparison.Ordinal);
        await stopping;
    }
}
