using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace LocalLlm.Extensions.AI;

/// <summary>
/// Owns the engine of a container: loads it once, at the host's start or at the first request, and disposes it with the container.
/// </summary>
/// <param name="options">Gives the options, checked.</param>
/// <param name="loggerFactory">Where the engine logs.</param>
internal sealed class EngineHost(Func<LocalLlmOptions> options, ILoggerFactory? loggerFactory) : IModelHost, IHostedService, IAsyncDisposable, IDisposable, IProgress<LoadProgress>
{
    private readonly Lock _lock = new();
    private readonly CancellationTokenSource _stopping = new();
    private Task<LlmEngine>? _engine;
    private LocalLlmOptions? _options;
    private LoadProgress _progress = new("waiting for the first request", 0, 0);

    /// <inheritdoc/>
    public string ModelId => LlmEngine.NameOf(Options.ToEngineOptions());

    /// <summary>The engine if it is loaded, or null.</summary>
    public LlmEngine? Loaded => _engine is { IsCompletedSuccessfully: true } engine ? engine.Result : null;

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

    private LocalLlmOptions Options => _options ??= options();

    /// <summary>The host of an engine in a container.</summary>
    public static EngineHost Of(IServiceProvider provider, object? key) =>
        key is null ? provider.GetRequiredService<EngineHost>() : provider.GetRequiredKeyedService<EngineHost>(key);

    /// <summary>The engine; a failed load is tried again by the next caller.</summary>
    /// <exception cref="ObjectDisposedException">The host has stopped before the engine was loaded.</exception>
    public Task<LlmEngine> GetAsync(CancellationToken cancellationToken) => Get(retry: true, cancellationToken);

    /// <inheritdoc/>
    /// <exception cref="ObjectDisposedException">The host has stopped before the engine was loaded.</exception>
    public async Task EndedAsync(CancellationToken cancellationToken)
    {
        var engine = await Get(retry: false, cancellationToken).ConfigureAwait(false);
        await engine.Completion.WaitAsync(cancellationToken).ConfigureAwait(false);
    }

    private Task<LlmEngine> Get(bool retry, CancellationToken cancellationToken)
    {
        var chosen = Options;
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_stopping.IsCancellationRequested && Loaded is null, this);
            if (_engine is null || (retry && _engine is { IsFaulted: true } or { IsCanceled: true }))
                _engine = LlmEngine.LoadAsync(chosen.ToEngineOptions() with { LoggerFactory = loggerFactory, MeterScope = this }, this, _stopping.Token);
            return _engine.WaitAsync(cancellationToken);
        }
    }

    /// <inheritdoc/>
    public Task StartAsync(CancellationToken cancellationToken)
    {
        if (!Options.LoadInBackground)
            return WarmAsync(cancellationToken);
        // Whoever asks for the engine, or for its failure, learns how it went.
        _ = WarmAsync(_stopping.Token).ContinueWith(task => _ = task.Exception, CancellationToken.None, TaskContinuationOptions.OnlyOnFaulted, TaskScheduler.Default);
        return Task.CompletedTask;
    }

    private async Task WarmAsync(CancellationToken cancellationToken)
    {
        var engine = await GetAsync(cancellationToken).ConfigureAwait(false);
        if (Options.WarmUp)
            await engine.CompleteAsync(GenerationRequest.FromTokenIds([0], new() { MaxTokens = 1, Detokenize = false }), cancellationToken).ConfigureAwait(false);
    }

    /// <inheritdoc/>
    public Task StopAsync(CancellationToken cancellationToken) => DisposeAsync().AsTask().WaitAsync(cancellationToken);

    /// <inheritdoc/>
    public void Report(LoadProgress value)
    {
        lock (_lock)
            _progress = value;
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        Task<LlmEngine>? engine;
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
