using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace LocalLlm.Extensions.AI;

/// <summary>The host of a model that generates text. It takes what memory is left for its KV cache, so models that embed are loaded before it.</summary>
/// <inheritdoc/>
internal sealed class EngineHost(Func<LocalLlmOptions> options, ILoggerFactory? loggerFactory, Func<IEnumerable<ILoadedModel>> earlier) : ModelHost<LlmEngine, LocalLlmOptions>(options, loggerFactory, earlier)
{
    /// <summary>The host of an engine in a container.</summary>
    public static EngineHost Of(IServiceProvider provider, object? key) =>
        key is null ? provider.GetRequiredService<EngineHost>() : provider.GetRequiredKeyedService<EngineHost>(key);

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
}
