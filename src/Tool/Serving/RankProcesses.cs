using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using LocalLlm.Cluster;

namespace LocalLlm.Tool.Serving;

/// <summary>
/// The processes of all ranks of this machine, which the server's process starts. On CPUs with split layers it starts them
/// through mpirun, because only MPI adds quickly between processes. On GPUs it starts them directly, because NCCL connects them.
/// They end when their connection to this process ends; if they do not, this process ends them.
/// </summary>
internal sealed class RankProcesses : INodeTransport
{
    private static readonly TimeSpan EndingTime = TimeSpan.FromSeconds(3);

    private const string NoMpirun = "--distributed-executor-backend processes with --tensor-parallel-size above 1 needs Open MPI on CPUs, "
        + "and there is no mpirun in PATH; install it (apt-get install openmpi-bin), or use threads";

    private readonly GrpcNodeTransport _inner;
    private readonly Func<IEnumerable<Process>> _start;
    private readonly TaskCompletionSource<string> _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private Process[] _processes = [];

    private RankProcesses(GrpcNodeTransport inner, Func<IEnumerable<Process>> start) => (_inner, _start) = (inner, start);

    /// <summary>Configures an engine to start its ranks when it is loaded.</summary>
    /// <exception cref="UsageException">mpirun is needed but not installed.</exception>
    public static EngineOptions Serve(EngineOptions engine)
    {
        if (NeedsMpi(engine) && !IsInPath("mpirun"))
            throw new UsageException(NoMpirun);
        var port = FreePort();
        var token = Convert.ToHexString(RandomNumberGenerator.GetBytes(16));
        var ranks = engine.TensorParallel * engine.PipelineParallel;
        return engine with
        {
            MasterAddress = "127.0.0.1",
            MasterPort = port,
            NodeTransport = options =>
                new RankProcesses(new(options.MasterAddress, options.MasterPort, new() { Token = token }), StartOf(options)),
        };

        // Only now is it known what auto means.
        Func<IEnumerable<Process>> StartOf(EngineOptions options) => !NeedsMpi(options) ? Each
            : IsInPath("mpirun") ? Mpirun : throw new EngineException(EngineErrorKind.Environment, $"{NoMpirun}.", "distributed_executor_backend");

        IEnumerable<Process> Each() => Enumerable.Range(0, ranks).Select(rank => Start(new RankProcess(ServeRole.Rank, rank, port), []));

        IEnumerable<Process> Mpirun() => [Start(new RankProcess(ServeRole.Rank, 0, port), MpirunLine(ranks))];

        Process Start(RankProcess rank, IReadOnlyList<string> before)
        {
            var start = rank.ToStart(before);
            start.Environment[RankProcess.TokenVariable] = token;
            return Process.Start(start)!;
        }
    }

    /// <inheritdoc/>
    public async Task ListenAsync(CancellationToken cancellationToken)
    {
        await _inner.ListenAsync(cancellationToken);
        AppDomain.CurrentDomain.ProcessExit += OnProcessExit;
        // One after the other: if one cannot start, those before it are ended.
        foreach (var process in _start())
        {
            _processes = [.. _processes, process];
            process.EnableRaisingEvents = true;
            process.Exited += (_, _) => _ended.TrySetResult($"process {process.Id} of the ranks has ended with exit code {process.ExitCode}");
            if (process.HasExited)
                _ended.TrySetResult($"process {process.Id} of the ranks has ended with exit code {process.ExitCode}");
        }
    }

    /// <inheritdoc/>
    public async ValueTask<INodeChannel> AcceptAsync(CancellationToken cancellationToken)
    {
        var accepting = _inner.AcceptAsync(cancellationToken).AsTask();
        if (await Task.WhenAny(accepting, _ended.Task) == accepting)
            return await accepting;
        throw new IOException(await _ended.Task);
    }

    /// <inheritdoc/>
    public ValueTask<INodeChannel> ConnectAsync(CancellationToken cancellationToken) => _inner.ConnectAsync(cancellationToken);

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        using var patience = new CancellationTokenSource(EndingTime);
        foreach (var process in _processes)
            await process.WaitForExitAsync(patience.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        Kill();
        AppDomain.CurrentDomain.ProcessExit -= OnProcessExit;
        await _inner.DisposeAsync();
    }

    // Only if the device is known to be a CPU.
    private static bool NeedsMpi(EngineOptions engine) =>
        engine.TensorParallel > 1 && (engine.Devices is [var first, ..] ? first : engine.Device) == "cpu";

    private static string[] MpirunLine(int ranks)
    {
        string[] asRoot = Environment.IsPrivilegedProcess ? ["--allow-run-as-root"] : [];
        // Waiting ranks yield their core to other ranks: there may be fewer cores than ranks.
        return
        [
            // Ctrl+C is meant for the server: it ends the ranks once its requests are done.
            .. IsInPath("setsid") ? ["setsid"] : Array.Empty<string>(),
            "mpirun", "-np", $"{ranks}", .. asRoot, "--oversubscribe", "--bind-to", "none", "--mca", "mpi_yield_when_idle", "1",
            .. RankProcess.Variables.SelectMany(name => (string[])["-x", name]),
        ];
    }

    private static bool IsInPath(string program) =>
        (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator).Any(folder => File.Exists(Path.Combine(folder, program)));

    private static int FreePort()
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        return ((IPEndPoint)socket.LocalEndPoint!).Port;
    }

    private void OnProcessExit(object? sender, EventArgs arguments) => Kill();

    // Includes processes that are stopped and those that mpirun started.
    private void Kill()
    {
        foreach (var process in _processes)
        {
            try
            {
                process.Kill(entireProcessTree: true);
            }
            catch (InvalidOperationException)
            {
                // The process has already ended.
            }
        }
    }
}
