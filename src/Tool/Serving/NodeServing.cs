using Microsoft.Extensions.Logging;

namespace LocalLlm.Tool.Serving;

/// <summary><c>serve</c> in a process that serves nobody: it computes for the one that does, until the replica ends.</summary>
internal static class NodeServing
{
    /// <summary>Runs the node.</summary>
    /// <param name="engine">Its options.</param>
    /// <param name="role">What it is.</param>
    /// <param name="terminal">Where it reports.</param>
    /// <param name="cancellationToken">Leaves the replica.</param>
    /// <returns>The exit code: 0 where node 0 has ended as it should.</returns>
    /// <exception cref="EngineException">As of <see cref="EngineNode.RunAsync"/>.</exception>
    public static async Task<int> RunAsync(EngineOptions engine, ServeRole role, Terminal terminal, CancellationToken cancellationToken)
    {
        using var logs = LoggerFactory.Create(HttpServer.AddLogging);
        engine = engine with { LoggerFactory = logs };
        EngineOptionsValidator.CheckFit(engine);
        if (role == ServeRole.Node)
            await terminal.ErrorText.WriteLineAsync($"node {engine.NodeRank} of {engine.Nodes} serves no HTTP; it computes for node 0 at {engine.MasterAddress}:{engine.MasterPort}");
        await terminal.ErrorText.FlushAsync(CancellationToken.None);
        using var frontEnd = role == ServeRole.FirstMpiRank ? FrontEnd.Start(engine.MasterPort) : null;
        try
        {
            await EngineNode.RunAsync(engine, role == ServeRole.Node ? new Phases(terminal) : null, cancellationToken);
            return ExitCodes.Success;
        }
        catch (EngineException failure) when (failure.Kind == EngineErrorKind.EngineDead)
        {
            HardExit.Arm();
            throw;
        }
    }

    // Phases as lines: a node is watched in its log.
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
