using System.Text;
using System.Text.Json;
using LocalLlm.Server.Tests.Serving;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Xunit;

namespace LocalLlm.Server.Tests.Http;

/// <summary>A body that cannot be read is the client's mistake: the client gets the error, and the server logs nothing.</summary>
public sealed class UnreadableBodyTests(TestServer server) : IClassFixture<TestServer>
{
    private const string Chunked = "Host: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";

    [Theory]
    [InlineData("/v1/chat/completions", "ffffffffffffffff\r\n{}\r\n0\r\n\r\n")]
    [InlineData("/v1/completions", "7fffffffffffffff1\r\n{}\r\n0\r\n\r\n")]
    [InlineData("/v1/embeddings", "fffffffff\r\n{}\r\n0\r\n\r\n")]
    [InlineData("/tokenize", "5\r\n{\"pro\r\nffffffffffffffff\r\n")]
    [InlineData("/rerank", "zz\r\n")]
    [InlineData("/score", "2\r\n{}\r\n0\r\nno trailer\r\n\r\n")]
    [InlineData("/score", "2\r\n{}\r\n0\r\nA: \0\r\n\r\n")]
    [InlineData("/no/such/route", "ffffffffffffffff\r\n")]
    public async Task The_client_gets_400_and_the_log_nothing(string path, string body)
    {
        using var log = new Faults();
        server.Services.GetRequiredService<ILoggerFactory>().AddProvider(log);
        var answer = await server.RawAsync(Encoding.ASCII.GetBytes($"POST {path} HTTP/1.1\r\n{Chunked}{body}"));
        var status = path.Contains("such", StringComparison.Ordinal) ? 404 : 400;
        Assert.StartsWith($"HTTP/1.1 {status} ", answer, StringComparison.Ordinal);
        var error = JsonDocument.Parse(answer[(answer.IndexOf("\r\n\r\n", StringComparison.Ordinal) + 4)..]).RootElement.GetProperty("error");
        Assert.Equal("invalid_request_error", error.GetProperty("type").GetString());
        // When this second request is answered, the server has finished its work for the first connection.
        await server.AskAsync("/tokenize", """{"prompt":"a"}""");
        Assert.Empty(log.Texts);
    }

    [Theory]
    [InlineData("Content-Length: 100\r\n\r\n{\"prompt\":", true)]
    [InlineData("Transfer-Encoding: chunked\r\n\r\n20\r\n{\"prompt\":", true)]
    [InlineData("Transfer-Encoding: chunked\r\n\r\n2", true)]
    [InlineData("Content-Length: 100\r\n\r\n{\"prompt\":", false)]
    [InlineData("Transfer-Encoding: chunked\r\n\r\n20\r\n{\"prompt\":", false)]
    public async Task A_client_that_leaves_mid_request_is_not_logged_as_an_error(string rest, bool closesOnlyItsSide)
    {
        using var log = new Faults();
        server.Services.GetRequiredService<ILoggerFactory>().AddProvider(log);
        var request = Encoding.ASCII.GetBytes($"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{rest}");
        if (closesOnlyItsSide)
        {
            await server.RawAsync(request, closesWrite: true);
        }
        else
        {
            using var client = new System.Net.Sockets.TcpClient();
            await client.ConnectAsync("127.0.0.1", server.Address.Port, TestContext.Current.CancellationToken);
            await client.GetStream().WriteAsync(request, TestContext.Current.CancellationToken);
            await server.AskAsync("/tokenize", """{"prompt":"a"}""");
            // Resets the connection instead of closing it.
            client.LingerState = new(true, 0);
        }

        await server.AskAsync("/tokenize", """{"prompt":"a"}""");
        Assert.Empty(log.Texts);
    }

    private sealed class Faults : ILoggerProvider, ILogger
    {
        private readonly List<string> _texts = [];

        public IReadOnlyList<string> Texts
        {
            get
            {
                lock (_texts)
                    return [.. _texts];
            }
        }

        public ILogger CreateLogger(string categoryName) => this;

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => logLevel >= LogLevel.Warning;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (!IsEnabled(logLevel))
                return;
            lock (_texts)
                _texts.Add($"{logLevel} {formatter(state, exception)} {exception}");
        }

        public void Dispose()
        {
        }
    }
}
