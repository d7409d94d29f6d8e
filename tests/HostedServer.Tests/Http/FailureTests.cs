using System.Collections.Concurrent;
using System.Text;
using System.Text.Json;
using LocalLlm.Server.Http;
using LocalLlm.Tests;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Xunit;

namespace LocalLlm.Server.Tests.Http;

/// <summary>After an unexpected exception the client gets only an id, and the log gets the details.</summary>
public sealed class FailureTests
{
    private const string Secret = "secret /home/somebody";

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("/whole")]
    [InlineData("/first-event")]
    [InlineData("/second-event")]
    [InlineData("/outside")]
    public async Task An_unknown_exception_is_an_id_in_the_response_and_the_log(string path)
    {
        using var logs = new Errors();
        await using var app = Create(logs);
        await app.StartAsync(Token);
        using var client = new HttpClient { BaseAddress = new(app.Urls.First()) };
        client.DefaultRequestHeaders.Add("X-Request-Id", "my-id-1");
        using var response = await client.GetAsync(new Uri(path, UriKind.Relative), Token);
        var text = await response.Content.ReadAsStringAsync(Token);
        Assert.Equal(path == "/second-event" ? 200 : 500, (int)response.StatusCode);
        Assert.DoesNotContain("secret", text, StringComparison.Ordinal);
        Assert.DoesNotContain("InvalidOperation", text, StringComparison.Ordinal);
        var json = path == "/second-event" ? text.Split("\n\n")[1]["data: ".Length..] : text;
        var message = JsonDocument.Parse(json).RootElement.GetProperty("error").GetProperty("message").GetString();
        Assert.Equal("The server failed to respond; its log says why under the id my-id-1.", message);
        Assert.Contains(logs.Lines, line => line.Contains("my-id-1", StringComparison.Ordinal) && line.Contains(Secret, StringComparison.Ordinal));
    }

    private static WebApplication Create(Errors logs)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        builder.Logging.ClearProviders().AddProvider(logs);
        builder.Services.AddLocalLlmEmbeddings(options => options.ModelPath = TestPaths.TinyM3);
        builder.Services.AddLocalLlmServer();
        // These routes need no model.
        builder.Services.RemoveAll<IHostedService>();
        var app = builder.Build();
        app.UseLocalLlmErrors();
        app.UseRouting();
        var pipeline = app.Services.GetRequiredService<ApiPipeline>();
        app.MapGet("/whole", pipeline.Guarded(_ => throw new InvalidOperationException(Secret)));
        app.MapGet("/first-event", pipeline.Guarded(context => SendAsync(context, 0)));
        app.MapGet("/second-event", pipeline.Guarded(context => SendAsync(context, 1)));
        app.MapGet("/outside", (RequestDelegate)(_ => throw new InvalidOperationException(Secret)));
        return app;
    }

    private static Task SendAsync(HttpContext context, int events) =>
        EventStream.SendAsync(context, EventsAsync(events), TimeSpan.FromSeconds(30), TimeProvider.System, CancellationToken.None);

    private static async IAsyncEnumerable<byte[]> EventsAsync(int count)
    {
        for (var i = 0; i < count; i++)
            yield return Encoding.UTF8.GetBytes("{}");
        await Task.Yield();
        throw new InvalidOperationException(Secret);
    }

    private sealed class Errors : ILoggerProvider, ILogger
    {
        private readonly ConcurrentQueue<string> _lines = new();

        public string[] Lines => [.. _lines];

        public ILogger CreateLogger(string categoryName) => this;

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => logLevel >= LogLevel.Error;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
            _lines.Enqueue($"{formatter(state, exception)} {exception?.Message}");

        public void Dispose()
        {
        }
    }
}
