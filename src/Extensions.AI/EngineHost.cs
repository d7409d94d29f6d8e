using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace LocalLlm.Extensions.AI;

/// <summary>
/// The host of a model that generates text. Its KV cache takes all memory that is left, so embedding models are loaded first. On a node of
/// rank above 0, the host computes for node 0 and provides no engine.
/// </summary>
/// <param name="options">Returns the validated options.</param>
/// <param name="loggerFactory">Where the engine logs.</param>
/// <param name="earlier">Returns the models to load before this one.</param>
/// <param name="lifetime">The lifetime of the application, which ends with the replica on a node of rank above 0; null: no application
/// host.</param>
internal sealed partial class EngineHost(Func<LocalLlmOptions> options, ILoggerFactory? loggerFactory, Func<IEnumerable<ILoadedModel>> earlier, IHostApplicationLifetime? lifetime)
    : ModelHost<LlmEngine, LocalLlmOptions>(options, loggerFactory, earlier)
{
    private readonly ILogger _logger = loggerFactory?.CreateLogger<EngineHost>() ?? NullLogger<EngineHost>.Instance;
    private readonly ILoggerFactory? _engineLogs = loggerFactory;
    private Task? _node;

    /// <summary>The host of an engine in a container.</summary>
    public static EngineHost Of(IServiceProvider provider, object? key) =>
        key is null ? provider.GetRequiredService<EngineHost>() : provider.GetRequiredKeyedService<EngineHost>(key);

    /// <inheritdoc/>
    public override Exception? Failure => _node?.Exception?.GetBaseException() ?? base.Failure;

    /// <inheritdoc/>
    public override Task StartAsync(CancellationToken cancellationToken)
    {
        var engine = Options.ToEngineOptions();
        if (engine.NodeRank == 0)
            return base.StartAsync(cancellationToken);
        _node = RunNodeAsync(engine with { LoggerFactory = _engineLogs });
        _node.ContinueWith(ended => _ = ended.Exception, CancellationToken.None, TaskContinuationOptions.OnlyOnFaulted, TaskScheduler.Default);
        return Task.CompletedTask;
    }

    /// <inheritdoc/>
    public override async ValueTask DisposeAsync()
    {
        await base.DisposeAsync().ConfigureAwait(false);
        if (_node is not null)
            await _node.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    /// <inheritdoc/>
    protected override Task<LlmEngine> LoadAsync(EngineOptions engine, CancellationToken cancellationToken) => LlmEngine.LoadAsync(engine, this, cancellationToken);

    /// <inheritdoc/>
    protected override Task WarmAsync(LlmEngine engine, CancellationToken cancellationToken) => Options.WarmUp
        ? engine.ProbeAsync(cancellationToken)
        : Task.CompletedTask;

    /// <inheritdoc/>
    protected override bool IsAliveOf(LlmEngine engine) => engine.IsAlive;

    /// <inheritdoc/>
    protected override bool HasFailedOf(LlmEngine engine) => engine.HasFailed;

    /// <inheritdoc/>
    protected override Task CompletionOf(LlmEngine engine) => engine.Completion;

    /// <inheritdoc/>
    protected override ModelActivity ActivityOf(LlmEngine engine)
    {
        var statistics = engine.Statistics;
        return new($"runs {statistics.Running} and holds {statistics.Waiting} requests", new Dictionary<string, object>
        {
            ["running"] = statistics.Running,
            ["waiting"] = statistics.Waiting,
            ["kv_cache_usage"] = statistics.KvCacheUsage,
            ["generated_tokens"] = statistics.GeneratedTokens,
        });
    }

    // The application ends with the replica: a node alone serves no one, and its supervisor starts it again.
    private async Task RunNodeAsync(EngineOptions engine)
    {
        try
        {
            await EngineNode.RunAsync(engine, this, Stopping).ConfigureAwait(false);
        }
        catch (Exception failure) when (!Stopping.IsCancellationRequested)
        {
            LogNodeFailed(failure is EngineException ? null : failure, engine.NodeRank, failure.Message);
            lifetime?.StopApplication();
            throw;
        }

        if (!Stopping.IsCancellationRequested)
            lifetime?.StopApplication();
    }

    [LoggerMessage(1, LogLevel.Critical, "Node {NodeRank} stops: {Message}")]
    private partial void LogNodeFailed(Exception? failure, int nodeRank, string message);
}
