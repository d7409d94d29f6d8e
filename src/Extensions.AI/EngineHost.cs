using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace LocalLlm.Extensions.AI;

/// <summary>
/// Owns the engine of a container: loads it once, at the host's start or at the first request, and disposes it with the container.
/// </summary>
internal sealed class EngineHost(LocalLlmOptions options, ILoggerFactory? loggerFactory) : IHostedService, IAsyncDisposable, IDisposable
{
    private readonly Lock _lock = new();
    private Task<LlmEngine>? _engine;

    /// <summary>The name that clients see, as far as it is known before loading.</summary>
    public string ModelId => options.ModelId ?? Path.GetFileName(Path.TrimEndingDirectorySeparator(options.ModelPath));

    /// <summary>The engine if it is loaded, or null.</summary>
    public LlmEngine? Loaded => _engine is { IsCompletedSuccessfully: true } engine ? engine.Result : null;

    /// <summary>The engine; a failed load is tried again by the next caller.</summary>
    public Task<LlmEngine> GetAsync(CancellationToken cancellationToken)
    {
        lock (_lock)
        {
            if (_engine is null or { IsFaulted: true })
                _engine = LlmEngine.LoadAsync(options.ToEngineOptions() with { LoggerFactory = loggerFactory }, cancellationToken: CancellationToken.None);
            return _engine.WaitAsync(cancellationToken);
        }
    }

    /// <inheritdoc/>
    public Task StartAsync(CancellationToken cancellationToken) => GetAsync(cancellationToken);

    /// <inheritdoc/>
    public async Task StopAsync(CancellationToken cancellationToken) => await DisposeAsync().ConfigureAwait(false);

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        Task<LlmEngine>? engine;
        lock (_lock)
            engine = _engine;
        if (engine is { IsFaulted: false, IsCanceled: false })
            await (await engine.ConfigureAwait(false)).DisposeAsync().ConfigureAwait(false);
    }

    /// <inheritdoc/>
    public void Dispose() => DisposeAsync().AsTask().GetAwaiter().GetResult();
}
