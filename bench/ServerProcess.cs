using System.Diagnostics;
using System.Net;
using System.Net.Sockets;

namespace LocalLlm.Bench;

/// <summary><c>localllm serve</c> as a process of its own.</summary>
internal sealed class ServerProcess : IAsyncDisposable
{
    private readonly Process _process;

    private ServerProcess(Process process, int port) => (_process, Port) = (process, port);

    /// <summary>The port that the server listens on.</summary>
    public int Port { get; }

    /// <summary>Its process id.</summary>
    public int Id => _process.Id;

    /// <summary>Starts the server and waits until it is ready.</summary>
    public static async Task<ServerProcess> StartAsync(string model, string device, params string[] options)
    {
        var port = FreePort();
        // Starts the server as this process was started: by dotnet, or as a program with its own runtime.
        var program = Path.Combine(AppContext.BaseDirectory, "localllm");
        string[] line = Path.GetFileNameWithoutExtension(Environment.ProcessPath) == "dotnet" ? ["dotnet", program + ".dll"] : [program];
        var start = new ProcessStartInfo(
            line[0], [.. line[1..], "serve", model, "--host", "127.0.0.1", "--port", $"{port}", "--device", device, .. options])
        {
            RedirectStandardError = true,
        };
        var server = new ServerProcess(Process.Start(start)!, port);
        server._process.ErrorDataReceived += (_, _) => { };
        server._process.BeginErrorReadLine();
        using var client = new HttpClient();
        while (true)
        {
            if (server._process.HasExited)
                throw new InvalidOperationException($"localllm serve ended with {server._process.ExitCode}");
            try
            {
                using var answer = await client.GetAsync(new Uri($"http://127.0.0.1:{port}/ready"));
                if (answer.IsSuccessStatusCode)
                    return server;
            }
            catch (HttpRequestException)
            {
                // It does not listen yet.
            }

            await Task.Delay(100);
        }
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        if (!_process.HasExited)
        {
            using var kill = Process.Start("kill", $"-TERM {_process.Id}");
            await _process.WaitForExitAsync();
        }

        _process.Dispose();
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}
