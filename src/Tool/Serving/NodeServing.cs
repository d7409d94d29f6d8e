using System.Runtime.InteropServices;
using Microsoft.Extensions.Logging;

namespace LocalLlm.Tool.Serving;

/// <summary><c>serve</c> in a process without HTTP: it computes for the process that serves, until the replica ends.</summary>
internal static class NodeServing
{
    /// <summary>Runs the node.</summary>
    /// <param name="engine">The engine's options.</param>
    /// <param name="role">The role of this process.</param>
    /// <param name="terminal">The terminal to report to.</param>
    /// <param name="cancellationToken">Leaves the replica.</param>
    /// <returns>The exit code: 0 if node 0 ended normally.</returns>
    /// <exception cref="EngineException">As for <see cref="EngineNode.RunAsync"/>.</exception>
    public static async Task<int> RunAsync(EngineOptions engine, ServeRole role, Terminal terminal, CancellationToken cancellationToken)
    {
        using var logs = LoggerFactory.Create(HttpServer.AddLogging);
        engine = engine with { LoggerFactory = logs };
        EngineOptionsValidator.CheckFit(engine);
        if (role == ServeRole.Node)
            await terminal.ErrorText.WriteLineAsync($"node {engine.NodeRank} of {engine.Nodes} serves no HTTP; it computes for node 0 at {engine.MasterAddress}:{engine.MasterPort}");
        await terminal.ErrorText.FlushAsync(CancellationToken.None);
        using var frontEnd = role == ServeRole.FirstMpiRank ? FrontEnd.Start(engine.MasterPort) : null;
        using var leaving = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        // Ranks that the server started end with it, not at a signal: its requests may need them until then.
        using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, OnSignal);
        using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, OnSignal);
        try
        {
            await EngineNode.RunAsync(engine, role == ServeRole.Node ? new Phases(terminal) : null, leaving.Token);
            return ExitCodes.Success;
        }
        catch (EngineException failure) when (failure.Kind == EngineErrorKind.EngineDead)
        {
            HardExit.Arm();
            throw;
        }

        void OnSignal(PosixSignalContext context)
        {
            context.Cancel = true;
            if (role != ServeRole.Rank)
                leaving.Cancel();
        }
    }

    // Writes phases as lines: a node is watched through its log.
    private sealed class Phases(Terminal terminal) : IProgress<LoadProgress>
    {
        private string _last = "";

        public void Report(LoadProgress value)
        {
            if (value.Phase == _last)
                return;
            _last = value.Phase;
            terminal.ErrorText.WriteLine(value.Phase);
            terminal.ErrorText.Flush();
        }
    }
}
