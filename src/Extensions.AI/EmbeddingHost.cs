using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace LocalLlm.Extensions.AI;

/// <summary>The host of a model that embeds texts.</summary>
/// <inheritdoc/>
internal sealed class EmbeddingHost(Func<LocalLlmEmbeddingsOptions> options, ILoggerFactory? loggerFactory) : ModelHost<EmbeddingEngine, LocalLlmEmbeddingsOptions>(options, loggerFactory, () => [])
{
    /// <summary>The host of an engine in a container.</summary>
    public static EmbeddingHost Of(IServiceProvider provider, object? key) =>
        key is null ? provider.GetRequiredService<EmbeddingHost>() : provider.GetRequiredKeyedService<EmbeddingHost>(key);

    /// <inheritdoc/>
    protected override Task<EmbeddingEngine> LoadAsync(EngineOptions engine, CancellationToken cancellationToken) => EmbeddingEngine.LoadAsync(engine, this, cancellationToken);

    /// <inheritdoc/>
    protected override bool IsAliveOf(EmbeddingEngine engine) => engine.IsAlive;

    /// <inheritdoc/>
    protected override bool HasFailedOf(EmbeddingEngine engine) => engine.HasFailed;

    /// <inheritdoc/>
    protected override Task CompletionOf(EmbeddingEngine engine) => engine.Completion;

    /// <inheritdoc/>
    protected override ModelActivity ActivityOf(EmbeddingEngine engine)
    {
        var statistics = engine.Statistics;
        return new($"embeds {statistics.Running} and holds {statistics.Waiting} texts", new Dictionary<string, object> { ["running"] = statistics.Running, ["waiting"] = statistics.Waiting, ["embedded"] = statistics.Embedded });
    }
}
