using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace LocalLlm.Extensions.AI;

/// <summary>Owns the embedding engine of a container: loads it once, at the host's start or at the first request, and disposes it with the container.</summary>
/// <param name="options">Gives the options.</param>
internal sealed class EmbeddingHost(Func<LocalLlmEmbeddingsOptions> options) : IHostedService, IAsyncDisposable, IDisposable
{
    private readonly Lock _lock = new();
    private readonly CancellationTokenSource _stopping = new();
    private Task<EmbeddingEngine>? _engine;

    /// <summary>The name that clients see, as far as it is known before loading.</summary>
    public string ModelId => LlmEngine.NameOf(options().ToEngineOptions());

    /// <summary>The engine if it is loaded, or null.</summary>
    public EmbeddingEngine? Loaded => _engine is { IsCompletedSuccessfully: true } engine ? engine.Result : null;

    /// <summary>Why loading has failed, or null.</summary>
    public Exception? Failure => _engine?.Exception?.GetBaseException();

    /// <summary>The host of an engine in a container.</summary>
    public static EmbeddingHost Of(IServiceProvider provider, object? key) =>
        key is null ? provider.GetRequiredService<EmbeddingHost>() : provider.GetRequiredKeyedService<EmbeddingHost>(key);

    /// <summary>The engine; a failed load is tried again by the next caller.</summary>
    /// <exception cref="ObjectDisposedException">The host has stopped before the engine was loaded.</exception>
    public Task<EmbeddingEngine> GetAsync(CancellationToken cancellationToken)
    {
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_stopping.IsCancellationRequested && Loaded is null, this);
            if (_engine is null or { IsFaulted: true } or { IsCanceled: true })
                _engine = EmbeddingEngine.LoadAsync(options().ToEngineOptions(), null, _stopping.Token);
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
