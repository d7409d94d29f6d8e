using LocalLlm.Execution.Cluster;
using LocalLlm.Hub;
using LocalLlm.Tokenization;
using LocalLlm.Tokenizers;
using Microsoft.Extensions.Logging.Abstractions;

namespace LocalLlm;

/// <summary>A process that computes for an engine in another one: a node of rank above 0, or a rank of its own.</summary>
public static class EngineNode
{
    /// <summary>Joins the engine's process, loads this node's part of the model and computes until the engine ends.</summary>
    /// <param name="options">As on node 0, but for <see cref="EngineOptions.NodeRank"/>.</param>
    /// <param name="progress">Told of phases and bytes.</param>
    /// <param name="cancellationToken">Leaves; the engine fails then, as it cannot go on without this node.</param>
    /// <exception cref="EngineException">InvalidOptions, ModelFolder or Environment: it could not join or load. EngineDead: the replica has
    /// failed, be it here or elsewhere; the process should end, and all of them be started again.</exception>
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
