using LocalLlm.Execution.Cluster;
using LocalLlm.Hub;
using LocalLlm.Tokenization;
using LocalLlm.Tokenizers;
using Microsoft.Extensions.Logging.Abstractions;

namespace LocalLlm;

/// <summary>A process that computes for an engine in another process: a node of rank above 0, or one rank with its own process.</summary>
public static class EngineNode
{
    /// <summary>Joins the engine's process, loads this node's part of the model and computes until the engine ends.</summary>
    /// <param name="options">The same options as on node 0, except <see cref="EngineOptions.NodeRank"/>.</param>
    /// <param name="progress">Receives the current phase and its bytes.</param>
    /// <param name="cancellationToken">Leaves. The engine then fails, because it cannot go on without this node.</param>
    /// <exception cref="EngineException">InvalidOptions, ModelFolder or Environment: this node could not join or load. EngineDead: the
    /// replica has failed, here or elsewhere; end this process and start all of the replica's processes again.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    public static async Task RunAsync(EngineOptions options, IProgress<LoadProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(options);
        EngineOptionsValidator.Validate(options);
        if (!ClusterLayout.IsNeeded(options) || (options.NodeRank == 0 && options.Nodes > 1))
            throw new EngineException(EngineErrorKind.InvalidOptions, "This process is the engine itself (node_rank is 0); load it with LlmEngine.LoadAsync.", "node_rank");
        options = ModelSource.Local(options);
        var logger = new GuardedLogger((options.LoggerFactory ?? NullLoggerFactory.Instance).CreateLogger(EngineMetrics.Name));
        if (ModelSource.IsRemote(options))
        {
            options = await ModelSource.ResolveAsync(options, (model, hub) => ModelHub.ResolveAsync(
                model, hub with { Warning = text => LlmEngine.LogHub(logger, text) }, new DownloadPhase(model, progress), cancellationToken)).ConfigureAwait(false);
        }

        ModelSource.RequireModelFolder(options);
        await new NodeWorker(
            options, ClusterLayout.Of(options), () => EngineGrammars.Create(TokenizerOf(options)), progress, logger, cancellationToken).RunAsync().ConfigureAwait(false);
    }

    private static Tokenizer? TokenizerOf(EngineOptions options) =>
        options.SkipTokenizerInit ? null : TokenizerErrors.Translated(() => Tokenizer.Load(options.TokenizerPath ?? options.ModelPath));
}
