using System.Diagnostics;
using System.Globalization;
using System.Net.Sockets;
using System.Text;

namespace LocalLlm.Bench;

/// <summary>
/// The same streams, in turns through the server and directly from an engine in this process. The server's client only looks for the end of
/// each response.
/// </summary>
internal static class ServerOverhead
{
    private const int Tokens = 256;
    private const int RequestsOfStream = 8;
    private static readonly byte[] End = "data: [DONE]\n\n"u8.ToArray();

    public static async Task RunAsync(string model, string device, int streams, int rounds)
    {
        await using var server = await ServerProcess.StartAsync(model, device);
        await using var engine = await LlmEngine.LoadAsync(new() { ModelPath = model, Device = device });
        var (http, direct) = (new List<double>(), new List<double>());
        for (var round = 0; round <= rounds; round++)
        {
            using var served = Process.GetProcessById(server.Id);
            using var own = Process.GetCurrentProcess();
            var start = (Server: served.TotalProcessorTime, Own: own.TotalProcessorTime);
            var one = await TimeAsync(streams, stream => InProcessAsync(engine, stream));
            own.Refresh();
            var middle = own.TotalProcessorTime;
            var other = await TimeAsync(streams, stream => OverHttpAsync(server.Port, stream));
            own.Refresh();
            served.Refresh();
            var tokens = streams * RequestsOfStream * Tokens / 1e6;
            Console.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"  processor time a token: in process {(middle - start.Own).TotalSeconds / tokens:F0} µs; server {(served.TotalProcessorTime - start.Server).TotalSeconds / tokens:F0} µs, its client {(own.TotalProcessorTime - middle).TotalSeconds / tokens:F0} µs"));
            // The first round warms up.
            if (round == 0)
                continue;
            direct.Add(one);
            http.Add(other);
        }

        var ratios = http.Zip(direct, (a, b) => a / b).Order().ToArray();
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{streams} streams of {Tokens} tokens: server {Median(http):F0} tokens/s, in process {Median(direct):F0} tokens/s, ratio {ratios[ratios.Length / 2]:F3} ({ratios[0]:F3} to {ratios[^1]:F3} in {rounds} rounds)"));
    }

    private static double Median(List<double> values) => values.Order().ElementAt(values.Count / 2);

    private static async Task<double> TimeAsync(int streams, Func<int, Task> run)
    {
        var watch = Stopwatch.StartNew();
        await Task.WhenAll(Enumerable.Range(0, streams).Select(stream => Task.Run(() => run(stream))));
        return streams * RequestsOfStream * Tokens / watch.Elapsed.TotalSeconds;
    }

    private static int[] Prompt(int stream, int request) => [.. Enumerable.Range(0, 16).Select(i => 300 + (((stream * 31) + (request * 17) + i) % 3000))];

    private static async Task InProcessAsync(LlmEngine engine, int stream)
    {
        for (var request = 0; request < RequestsOfStream; request++)
        {
            var sampling = new SamplingParams { MaxTokens = Tokens, IgnoreEos = true, Temperature = 0 };
            await foreach (var output in engine.GenerateAsync(GenerationRequest.FromTokenIds(Prompt(stream, request), sampling)))
            {
            }
        }
    }

    private static async Task OverHttpAsync(int port, int stream)
    {
        using var client = new TcpClient { NoDelay = true };
        await client.ConnectAsync("127.0.0.1", port);
        var network = client.GetStream();
        var buffer = new byte[1 << 16];
        for (var request = 0; request < RequestsOfStream; request++)
        {
            var body = $"{{\"prompt\":[{string.Join(',', Prompt(stream, request))}],\"max_tokens\":{Tokens},\"ignore_eos\":true,\"temperature\":0,\"stream\":true}}";
            await network.WriteAsync(Encoding.UTF8.GetBytes($"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {body.Length}\r\n\r\n{body}"));
            var kept = 0;
            while (true)
            {
                var read = await network.ReadAsync(buffer.AsMemory(kept));
                if (read == 0)
                    throw new IOException("the server ended an answer early");
                var filled = kept + read;
                var done = buffer.AsSpan(0, filled).IndexOf(End) >= 0;
                kept = Math.Min(filled, 64);
                buffer.AsSpan(filled - kept, kept).CopyTo(buffer);
                if (!done)
                    continue;
                await ReadLastChunkAsync(network, buffer, kept);
                break;
            }
        }
    }

    private static async Task ReadLastChunkAsync(NetworkStream network, byte[] buffer, int kept)
    {
        while (!buffer.AsSpan(0, kept).EndsWith("0\r\n\r\n"u8))
        {
            var read = await network.ReadAsync(buffer.AsMemory(kept));
            if (read == 0)
                throw new IOException("the server ended an answer early");
            kept += read;
        }
    }
}
