using Microsoft.Extensions.Logging;

namespace LocalLlm.Tool.Serving;

/// <summary><c>serve</c> on a node of rank above 0: it serves nobody and computes for node 0, until the replica ends.</summary>
internal static class NodeServing
{
    /// <summary>Runs the node.</summary>
    /// <returns>The exit code: 0 where node 0 has ended as it should.</returns>
    /// <exception cref="EngineException">As of <see cref="EngineNode.RunAsync"/>.</exception>
    public static async Task<int> RunAsync(EngineOptions engine, Terminal terminal, CancellationToken cancellationToken)
    {
        using var logs = LoggerFactory.Create(HttpServer.AddLogging);
        engine = engine with { LoggerFactory = logs };
        EngineOptionsValidator.CheckFit(engine);
        await terminal.ErrorText.WriteLineAsync($"node {engine.NodeRank} of {engine.Nodes} serves no HTTP; it computes for node 0 at {engine.MasterAddress}:{engine.MasterPort}");
        await terminal.ErrorText.FlushAsync(CancellationToken.None);
        try
        {
            await EngineNode.RunAsync(engine, new Phases(terminal), cancellationToken);
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
