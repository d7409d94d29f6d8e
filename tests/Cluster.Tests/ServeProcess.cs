using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using LocalLlm.Tests;

namespace LocalLlm.Cluster.Tests;

/// <summary>
/// A process of <c>localllm serve</c> on the tiny model. Tests send requests over a Unix socket, so the process may run in any network
/// namespace.
/// </summary>
internal sealed class ServeProcess : IAsyncDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(2);

    // A published program, for machines without dotnet.
    private static readonly string[] Program = Environment.GetEnvironmentVariable("LOCALLLM_TEST_PROGRAM") is { Length: > 0 } published
        ? [published] : ["dotnet", Path.Combine(AppContext.BaseDirectory, "localllm.dll")];

    private readonly Process _process;
    private readonly string _socket;
    private readonly ConcurrentQueue<string> _lines = new();
    private readonly HttpClient _http;

    private ServeProcess(Process process, string socket)
    {
        (_process, _socket) = (process, socket);
        _process.OutputDataReceived += (_, line) => Add(line.Data);
        _process.ErrorDataReceived += (_, line) => Add(line.Data);
        _process.BeginOutputReadLine();
        _process.BeginErrorReadLine();
        _http = new(new SocketsHttpHandler { ConnectCallback = ConnectAsync }) { BaseAddress = new("http://localhost"), Timeout = Patience };
    }

    public int Id => _process.Id;

    public string Output => string.Join('\n', _lines);

    public bool HasExited => _process.HasExited;

    /// <summary>Starts a server.</summary>
    /// <param name="before">Command words before the program, such as mpirun's or a namespace's.</param>
    /// <param name="arguments">Further arguments.</param>
    public static ServeProcess Start(IReadOnlyList<string> before, params string[] arguments)
    {
        var socket = Path.Combine(Path.GetTempPath(), $"localllm-{Guid.NewGuid():N}.sock");
        string[] line =
        [
            .. before, .. Program, "serve", TestPaths.TinyR1, .. arguments.Contains("--device") ? [] : (string[])["--device", "cpu"],
            .. arguments.Contains("--dtype") ? [] : (string[])["--dtype", "float32"], "--max-model-len", "512",
            "--num-gpu-blocks-override", "128", "--num-threads", "1", "--uds", socket, "--node-join-timeout", "120",
            // Keeps a process that gets no processor time for seconds from being lost.
            .. arguments.Contains("--node-heartbeat") ? [] : (string[])["--node-heartbeat", "20"], .. arguments,
        ];
        return new(Process.Start(new ProcessStartInfo(line[0], line[1..]) { RedirectStandardOutput = true, RedirectStandardError = true })!, socket);
    }

    /// <summary>Waits until the server is ready.</summary>
    public async Task ReadyAsync()
    {
        var begin = Stopwatch.GetTimestamp();
        while (await StatusAsync("/ready") != 200)
        {
            if (HasExited || Stopwatch.GetElapsedTime(begin) > Patience)
                throw new InvalidOperationException($"It is not ready:\n{Output}");
            await Task.Delay(TimeSpan.FromMilliseconds(100));
        }
    }

    /// <summary>The HTTP status of a path; null: no server listens.</summary>
    public async Task<int?> StatusAsync(string path)
    {
        try
        {
            using var response = await _http.GetAsync(path);
            return (int)response.StatusCode;
        }
        catch (HttpRequestException)
        {
            return null;
        }
    }

    /// <summary>Greedy tokens.</summary>
    public async Task<int[]> GreedyAsync(string prompt, int maxTokens)
    {
        using var response = await PostAsync(prompt, maxTokens, streams: false);
        using var body = JsonDocument.Parse(await response.Content.ReadAsStringAsync());
        return [.. body.RootElement.GetProperty("choices")[0].GetProperty("token_ids").EnumerateArray().Select(id => id.GetInt32())];
    }

    /// <summary>Log-probabilities of all tokens but the first.</summary>
    public async Task<double[]> LogprobsAsync(IReadOnlyList<int> ids)
    {
        var request = JsonSerializer.Serialize(new { prompt = ids, max_tokens = 1, temperature = 0, prompt_logprobs = 0 });
        using var response = await _http.PostAsync("/v1/completions", new StringContent(request, Encoding.UTF8, "application/json"));
        using var body = JsonDocument.Parse(await response.Content.ReadAsStringAsync());
        return
        [
            .. body.RootElement.GetProperty("choices")[0].GetProperty("prompt_logprobs").EnumerateArray().Skip(1)
                .Zip(ids.Skip(1), (token, id) => token.GetProperty($"{id}").GetProperty("logprob").GetDouble()),
        ];
    }

    /// <summary>Streams one response.</summary>
    /// <returns>How it ended: <c>complete</c>, an error's code, <c>refused</c> (no server listened) or <c>cut</c> (it broke off).</returns>
    public async Task<string> StreamAsync(string prompt, int maxTokens)
    {
        try
        {
            using var response = await PostAsync(prompt, maxTokens, streams: true);
            var text = await response.Content.ReadAsStringAsync();
            if (text.Contains("\"code\":\"", StringComparison.Ordinal))
                return text[(text.LastIndexOf("\"code\":\"", StringComparison.Ordinal) + 8)..].Split('"')[0];
            return text.TrimEnd().EndsWith("data: [DONE]", StringComparison.Ordinal) ? "complete" : "cut";
        }
        catch (HttpRequestException failure)
        {
            return failure.HttpRequestError == HttpRequestError.ConnectionError ? "refused" : "cut";
        }
        catch (IOException)
        {
            return "cut";
        }
    }

    /// <summary>Waits until the process ends.</summary>
    public async Task<int> ExitAsync(TimeSpan patience)
    {
        using var late = new CancellationTokenSource(patience);
        try
        {
            await _process.WaitForExitAsync(late.Token);
        }
        catch (OperationCanceledException)
        {
            throw new TimeoutException($"It has not ended within {patience}:\n{Output}");
        }

        return _process.ExitCode;
    }

    /// <summary>Sends a signal to this or another process.</summary>
    public static async Task SignalAsync(string signal, int process) => await Shell.RunAsync("kill", $"-{signal}", $"{process}");

    /// <summary>The processes with this server's socket in their command line: itself, its ranks, and what started them.</summary>
    public int[] Processes() => [.. Directory.EnumerateDirectories("/proc").Select(Path.GetFileName).Where(name => int.TryParse(name, out _)).Where(HasSocket).Select(name => int.Parse(name!, System.Globalization.CultureInfo.InvariantCulture))];

    /// <summary>Those of <see cref="Processes"/> that run the program itself, not mpirun.</summary>
    public int[] Programs() => [.. Processes().Where(id => CommandLine($"{id}").Split('\0')[0].EndsWith(Path.GetFileName(Program[0]), StringComparison.Ordinal))];

    public async ValueTask DisposeAsync()
    {
        foreach (var id in Processes())
            await SignalAsync("KILL", id);
        if (!_process.HasExited)
            _process.Kill(entireProcessTree: true);
        await _process.WaitForExitAsync();
        _process.Dispose();
        _http.Dispose();
        File.Delete(_socket);
    }

    private static string CommandLine(string id)
    {
        try
        {
            return File.ReadAllText($"/proc/{id}/cmdline");
        }
        catch (Exception gone) when (gone is IOException or UnauthorizedAccessException)
        {
            return "";
        }
    }

    private bool HasSocket(string? id) => CommandLine(id!).Contains(_socket, StringComparison.Ordinal);

    private void Add(string? line)
    {
        if (line is not null)
            _lines.Enqueue(line);
    }

    private Task<HttpResponseMessage> PostAsync(string prompt, int maxTokens, bool streams)
    {
        var body = JsonSerializer.Serialize(new { prompt, max_tokens = maxTokens, temperature = 0, ignore_eos = true, stream = streams, return_token_ids = true });
        return _http.PostAsync("/v1/completions", new StringContent(body, Encoding.UTF8, "application/json"));
    }

    private async ValueTask<Stream> ConnectAsync(SocketsHttpConnectionContext context, CancellationToken cancellationToken)
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(_socket), cancellationToken);
            return new NetworkStream(socket, ownsSocket: true);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }
}
