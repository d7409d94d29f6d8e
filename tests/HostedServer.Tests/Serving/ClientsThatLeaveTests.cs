using System.Net.Sockets;
using System.Text;
using LocalLlm.Server.Http;
using Microsoft.Extensions.DependencyInjection;
using Xunit;

namespace LocalLlm.Server.Tests.Serving;

/// <summary>Clients that leave, clients that do not read, and too many clients at once.</summary>
public sealed class ClientsThatLeaveTests
{
    private const string Long = """{"prompt":"Once upon a time","max_tokens":1900,"ignore_eos":true,"temperature":1,"stream":true}""";
    private const string Canary = """{"prompt":"a","max_tokens":1}""";

    public enum Way
    {
        Fin,
        Reset,
        HalfClose,
    }

    [Theory]
    [InlineData(Way.Fin, true)]
    [InlineData(Way.Reset, true)]
    [InlineData(Way.HalfClose, true)]
    [InlineData(Way.Fin, false)]
    [InlineData(Way.Reset, false)]
    public async Task A_client_that_leaves_takes_its_request_along(Way way, bool stream)
    {
        await using var server = new TestServer();
        await server.InitializeAsync();
        var body = stream ? Long : Long.Replace("\"stream\":true", "\"stream\":false", StringComparison.Ordinal);
        using (var client = await SendAsync(server, body))
        {
            await UntilAsync(server, () => server.Engine.Statistics.Running > 0);
            if (stream)
                await client.GetStream().ReadExactlyAsync(new byte[16], TestContext.Current.CancellationToken);
            if (way == Way.HalfClose)
                client.Client.Shutdown(SocketShutdown.Send);
            if (way == Way.Reset)
                client.Client.LingerState = new(true, 0);
            if (way == Way.HalfClose)
                await UntilAsync(server, () => server.Engine.Statistics.Running == 0);
        }

        await UntilAsync(server, () => server.Engine.Statistics.Running == 0);
        Assert.Equal(server.Engine.Statistics.KvBlocksTotal, server.Engine.Statistics.KvBlocksFree);
        Assert.Contains("finish_reason=\"abort\"} 1", await server.Client.GetStringAsync(new Uri("/metrics", UriKind.Relative), TestContext.Current.CancellationToken), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_client_that_does_not_read_is_dropped()
    {
        await using var server = new TestServer(options => options.StallTimeout = TimeSpan.FromMilliseconds(200));
        await server.InitializeAsync();
        // The response is larger than the buffers between server and client.
        using var client = await SendAsync(server, Long.Replace("\"stream\":true", "\"stream\":true,\"n\":16,\"logprobs\":20", StringComparison.Ordinal), receiveBuffer: 4096);
        await UntilAsync(server, () => server.Engine.Statistics.Running > 0);
        await UntilAsync(server, () => server.Engine.Statistics.Running == 0);
        Assert.Contains("finish_reason=\"abort\"} 16", await server.Client.GetStringAsync(new Uri("/metrics", UriKind.Relative), TestContext.Current.CancellationToken), StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_unread_response_releases_its_place_and_is_dropped()
    {
        await using var server = new TestServer(options => options.StallTimeout = TimeSpan.FromMilliseconds(300));
        await server.InitializeAsync();
        using var client = await SendAsync(server, """{"prompt":"Once upon a time","max_tokens":250,"n":64,"ignore_eos":true,"temperature":1,"logprobs":20}""", receiveBuffer: 4096);
        await UntilAsync(server, () => server.Engine.Statistics.Running > 0);
        await UntilAsync(server, () => server.Engine.Statistics.Running == 0);
        var admission = server.Services.GetRequiredService<Admission>();
        await UntilAsync(server, () => admission.Requests == 0);
    }

    [Fact]
    public async Task A_request_beyond_the_queue_gets_a_time_to_retry()
    {
        await using var server = new TestServer(options => options.MaxQueuedSequences = 2, engine => engine with { MaxNumSeqs = 2 });
        await server.InitializeAsync();
        var clients = new List<TcpClient>();
        for (var i = 0; i < 4; i++)
            clients.Add(await SendAsync(server, Long));
        var admission = server.Services.GetRequiredService<Admission>();
        // Operators' routes do not pass through the queue.
        while (admission.Requests < 4)
            await server.Client.GetStringAsync(new Uri("/metrics", UriKind.Relative), TestContext.Current.CancellationToken);

        using var refused = await server.PostAsync("/v1/completions", Canary, cancellationToken: TestContext.Current.CancellationToken);
        Assert.Equal(429, (int)refused.StatusCode);
        Assert.NotNull(refused.Headers.RetryAfter);
        Assert.Contains("queue_full", await refused.Content.ReadAsStringAsync(TestContext.Current.CancellationToken), StringComparison.Ordinal);
        clients.ForEach(client => client.Dispose());
        while (admission.Requests > 0)
            await server.Client.GetStringAsync(new Uri("/metrics", UriKind.Relative), TestContext.Current.CancellationToken);
        await server.AskAsync("/v1/completions", Canary);
    }

    private static async Task<TcpClient> SendAsync(TestServer server, string body, int? receiveBuffer = null)
    {
        var client = new TcpClient();
        if (receiveBuffer is { } size)
            client.ReceiveBufferSize = size;
        await client.ConnectAsync("127.0.0.1", server.Address.Port);
        await client.GetStream().WriteAsync(Encoding.UTF8.GetBytes($"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {body.Length}\r\n\r\n{body}"));
        return client;
    }

    // Sends small requests until the condition holds: the server must answer other clients meanwhile. The limit only keeps a broken test
    // from hanging; a loaded machine may take long.
    private static async Task UntilAsync(TestServer server, Func<bool> isSo)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromMinutes(3));
        while (!isSo())
        {
            limit.Token.ThrowIfCancellationRequested();
            await server.AskAsync("/tokenize", """{"prompt":"a"}""");
        }
    }
}
