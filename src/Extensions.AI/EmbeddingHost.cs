using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace LocalLlm.Extensions.AI;

/// <summary>Owns the embedding engine of a container: loads it once, at the host's start or at the first request, and disposes it with the container.</summary>
/// <param name="options">Gives the options.</param>
/// <param name="loggerFactory">Where the engine logs.</param>
internal sealed class EmbeddingHost(Func<LocalLlmEmbeddingsOptions> options, ILoggerFactory? loggerFactory) : IModelHost, IHostedService, IAsyncDisposable, IDisposable, IProgress<LoadProgress>
{
    private readonly Lock _lock = new();
    private readonly CancellationTokenSource _stopping = new();
    private Task<EmbeddingEngine>? _engine;
    private LoadProgress _progress = new("waiting for the first request", 0, 0);

    /// <inheritdoc/>
    public string ModelId => LlmEngine.NameOf(options().ToEngineOptions());

    /// <summary>The engine if it is loaded, or null.</summary>
    public EmbeddingEngine? Loaded => _engine is { IsCompletedSuccessfully: true } engine ? engine.Result : null;

    /// <inheritdoc/>
    public Exception? Failure => _engine?.Exception?.GetBaseException();

    /// <inheritdoc/>
    public bool IsLoaded => Loaded is not null;

    /// <inheritdoc/>
    public bool IsAlive => Loaded is { IsAlive: true };

    /// <inheritdoc/>
    public bool HasFailed => Loaded is { HasFailed: true };

    /// <inheritdoc/>
    public LoadProgress Progress
    {
        get
        {
            lock (_lock)
                return _progress;
        }
    }

    /// <summary>The host of an engine in a container.</summary>
    public static EmbeddingHost Of(IServiceProvider provider, object? key) =>
        key is null ? provider.GetRequiredService<EmbeddingHost>() : provider.GetRequiredKeyedService<EmbeddingHost>(key);

    /// <summary>The engine; a failed load is tried again by the next caller.</summary>
    /// <exception cref="ObjectDisposedException">The host has stopped before the engine was loaded.</exception>
    public Task<EmbeddingEngine> GetAsync(CancellationToken cancellationToken) => Get(retry: true, cancellationToken);

    /// <inheritdoc/>
    /// <exception cref="ObjectDisposedException">The host has stopped before the engine was loaded.</exception>
    public async Task EndedAsync(CancellationToken cancellationToken)
    {
        var engine = await Get(retry: false, cancellationToken).ConfigureAwait(false);
        await engine.Completion.WaitAsync(cancellationToken).ConfigureAwait(false);
    }

    /// <inheritdoc/>
    public void Report(LoadProgress value)
    {
        lock (_lock)
            _progress = value;
    }

    private Task<EmbeddingEngine> Get(bool retry, CancellationToken cancellationToken)
    {
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_stopping.IsCancellationRequested && Loaded is null, this);
            if (_engine is null || (retry && _engine is { IsFaulted: true } or { IsCanceled: true }))
                _engine = EmbeddingEngine.LoadAsync(options().ToEngineOptions() with { LoggerFactory = loggerFactory, MeterScope = this }, this, _stopping.Token);
            return _engine.WaitAsync(cancellationToken);
        }
    }

    /// <inheritdoc/>
    public Task StartAsync(CancellationToken cancellationToken)
    {
        var loading = GetAsync(cancellationToken);
        // Whoever asks for the engine, or for its failure, learns how it went.
        return options().LoadInBackground ? Task.CompletedTask : loading;
    }

    /// <inheritdoc/>
    public Task StopAsync(CancellationToken cancellationToken) => DisposeAsync().AsTask().WaitAsync(cancellationToken);

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        Task<EmbeddingEngine>? engine;
        lock (_lock)
        {
            engine = _engine;
            _stopping.Cancel();
        }

        if (engine is null)
            return;

        // A load that fails or is given up was told to those who waited for it.
        await ((Task)engine).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        if (engine.IsCompletedSuccessfully)
            await engine.Result.DisposeAsync().ConfigureAwait(false);
    }

    /// <inheritdoc/>
    public void Dispose() => DisposeAsync().AsTask().GetAwaiter().GetResult();
}
