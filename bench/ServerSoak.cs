using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;

namespace LocalLlm.Bench;

/// <summary>
/// Minutes of realistic load on the server: streams, callers that leave, malformed bodies, clients that do not read, and more requests than
/// the server admits. Every response must be the one that its prompt gets alone, memory must stay flat, and every block must be free at the
/// end.
/// </summary>
internal static class ServerSoak
{
    private const int Questions = 64;
    private static readonly string[] Malformed = ["{", "[]", "{\"prompt\":1}", "{\"prompt\":\"a\",\"temperature\":1e400}", "{\"prompt\":\"a\",\"prompt\":\"b\"}", "{\"prompt\":\"a\",\"model\":\"x\"}", "{\"prompt\":\"a\",\"max_tokens\":999999}"];

    public static async Task<bool> RunAsync(string model, string device, int clients, TimeSpan duration)
    {
        await using var server = await ServerProcess.StartAsync(model, device, "--dtype", "float32", "--max-num-seqs", $"{clients / 2}", "--max-waiting-seqs", $"{clients / 4}", "--num-gpu-blocks-override", $"{clients * 6}");
        using var http = new HttpClient(new SocketsHttpHandler { MaxConnectionsPerServer = 4 * clients }) { BaseAddress = new($"http://127.0.0.1:{server.Port}"), Timeout = TimeSpan.FromMinutes(5) };
        var alone = new string[Questions];
        for (var question = 0; question < Questions; question++)
            alone[question] = await AnswerAsync(http, question, CancellationToken.None) ?? throw new InvalidOperationException("the first question was refused");
        var counts = new Counts();
        using var stop = new CancellationTokenSource(duration);
        var load = Enumerable.Range(0, clients).Select(client => Task.Run(() => ClientAsync(http, server.Port, new Random(client), alone, counts, stop.Token))).ToArray();
        var readings = new List<double>();
        var watch = Stopwatch.StartNew();
        while (!stop.IsCancellationRequested)
        {
            await Task.WhenAny(Task.Delay(duration / 30, stop.Token));
            readings.Add(ResidentMiB(server.Id));
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{watch.Elapsed.TotalSeconds,5:F0} s, {readings[^1]:F0} MiB: {counts}"));
        }

        await Task.WhenAll(load);
        JsonElement engine;
        do
        {
            engine = JsonDocument.Parse(await http.GetStringAsync(new Uri("/engine", UriKind.Relative))).RootElement;
        }
        while (engine.GetProperty("running").GetInt32() + engine.GetProperty("waiting").GetInt32() > 0);
        var lost = engine.GetProperty("kv_blocks_total").GetInt32() - engine.GetProperty("kv_blocks_free").GetInt32();
        var third = readings.Count / 3;
        var growth = readings[^third..].Average() - readings[third..(2 * third)].Average();
        var waits = counts.Refusals.Order().ToArray();
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"growth from the second to the last third {growth:F1} MiB; blocks lost: {lost}; wrong answers: {counts.Wrong}; failures of the server: {counts.Failed}"));
        if (waits.Length > 0)
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{waits.Length} times 429, p50 {waits[waits.Length / 2]:F1} ms, p99 {waits[(int)(waits.Length * 0.99)]:F1} ms, at most {waits[^1]:F1} ms"));
        return lost == 0 && counts.Wrong == 0 && counts.Failed == 0 && growth < 64;
    }

    private static double ResidentMiB(int process)
    {
        var line = File.ReadLines($"/proc/{process}/status").First(line => line.StartsWith("VmRSS", StringComparison.Ordinal));
        return double.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture) / 1024;
    }

    private static string Body(int question, bool stream) => string.Create(
        CultureInfo.InvariantCulture,
        $"{{\"prompt\":\"Question {question}: once upon a time there was {question * 7}\",\"max_tokens\":{20 + (question * 3)},\"ignore_eos\":true,\"temperature\":0,\"stream\":{(stream ? "true" : "false")}}}");

    private static async Task ClientAsync(HttpClient http, int port, Random random, string[] alone, Counts counts, CancellationToken stop)
    {
        while (!stop.IsCancellationRequested)
        {
            try
            {
                switch (random.Next(20))
                {
                    case 0:
                        await MalformedAsync(http, random, counts, stop);
                        break;
                    case 1:
                        await SlowAsync(port, random, counts, stop);
                        break;
                    case 2 or 3:
                        await LeaveAsync(http, random, counts);
                        break;
                    default:
                        await AskAsync(http, random.Next(Questions), alone, counts, stop);
                        break;
                }
            }
            catch (OperationCanceledException)
            {
                // The run has ended.
            }
            catch (Exception failure) when (failure is HttpRequestException or IOException or SocketException)
            {
                counts.Fail(failure);
            }
        }
    }

    private static async Task AskAsync(HttpClient http, int question, string[] alone, Counts counts, CancellationToken stop)
    {
        var watch = Stopwatch.StartNew();
        var answer = await AnswerAsync(http, question, stop);
        if (answer is null)
        {
            counts.Refuse(watch.Elapsed.TotalMilliseconds);
            await Task.Delay(50, stop);
        }
        else if (answer == alone[question])
        {
            counts.Finish();
        }
        else
        {
            counts.AddWrong();
        }
    }

    // The response; null: the server refused the request for now (429).
    private static async Task<string?> AnswerAsync(HttpClient http, int question, CancellationToken stop)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, "/v1/completions") { Content = new StringContent(Body(question, stream: true), null, "application/json") };
        using var response = await http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, stop);
        if ((int)response.StatusCode == 429)
            return null;
        response.EnsureSuccessStatusCode();
        using var reader = new StreamReader(await response.Content.ReadAsStreamAsync(stop));
        var text = new StringBuilder();
        while (await reader.ReadLineAsync(stop) is { } line)
        {
            if (line == "data: [DONE]")
                return text.ToString();
            if (line.Length > 0)
                text.Append(JsonDocument.Parse(line["data: ".Length..]).RootElement.GetProperty("choices")[0].GetProperty("text").GetString());
        }

        throw new IOException("a stream ended without its end");
    }

    private static async Task LeaveAsync(HttpClient http, Random random, Counts counts)
    {
        using var leave = new CancellationTokenSource(random.Next(1, 400));
        try
        {
            await AnswerAsync(http, random.Next(Questions), leave.Token);
        }
        catch (OperationCanceledException)
        {
            counts.Leave();
        }
    }

    private static async Task MalformedAsync(HttpClient http, Random random, Counts counts, CancellationToken stop)
    {
        using var content = new StringContent(Malformed[random.Next(Malformed.Length)], null, "application/json");
        using var response = await http.PostAsync(new Uri("/v1/completions", UriKind.Relative), content, stop);
        // 429 is possible, too: the server checks a prompt's length only after it has admitted the request.
        if ((int)response.StatusCode is 400 or 404 or 429)
            counts.AddMalformed();
        else
            counts.AddWrong();
    }

    // Requests a long response and reads nothing until the server gives up.
    private static async Task SlowAsync(int port, Random random, Counts counts, CancellationToken stop)
    {
        using var client = new TcpClient { ReceiveBufferSize = 4096 };
        await client.ConnectAsync("127.0.0.1", port, stop);
        var body = Body(random.Next(Questions), stream: true).Replace("\"max_tokens\":", "\"logprobs\":20,\"n\":1,\"max_tokens\":1", StringComparison.Ordinal);
        await client.GetStream().WriteAsync(Encoding.UTF8.GetBytes($"POST /v1/completions HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {body.Length}\r\n\r\n{body}"), stop);
        await Task.Delay(TimeSpan.FromSeconds(12), stop);
        counts.AddSlow();
    }

    private sealed class Counts
    {
        private int _finished, _left, _malformed, _slow, _wrong, _failed;

        public ConcurrentBag<double> Refusals { get; } = [];

        public int Wrong => _wrong;

        public int Failed => _failed;

        public void Finish() => Interlocked.Increment(ref _finished);

        public void Leave() => Interlocked.Increment(ref _left);

        public void AddMalformed() => Interlocked.Increment(ref _malformed);

        public void AddSlow() => Interlocked.Increment(ref _slow);

        public void AddWrong() => Interlocked.Increment(ref _wrong);

        public void Refuse(double milliseconds) => Refusals.Add(milliseconds);

        public void Fail(Exception failure)
        {
            if (Interlocked.Increment(ref _failed) <= 5)
                Console.WriteLine(failure.GetBaseException().Message);
        }

        public override string ToString() => $"{_finished} answered, {_left} left, {_malformed} malformed, {_slow} did not read, {Refusals.Count} told to come back, {_wrong} wrong, {_failed} failed";
    }
}
