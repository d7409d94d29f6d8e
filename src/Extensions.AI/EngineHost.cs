using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace LocalLlm.Extensions.AI;

/// <summary>
/// Owns the engine of a container: loads it once, at the host's start or at the first request, and disposes it with the container.
/// </summary>
/// <param name="options">Gives the options, checked.</param>
/// <param name="loggerFactory">Where the engine logs.</param>
internal sealed class EngineHost(Func<LocalLlmOptions> options, ILoggerFactory? loggerFactory) : IHostedService, IAsyncDisposable, IDisposable, IProgress<LoadProgress>
{
    private readonly Lock _lock = new();
    private Task<LlmEngine>? _engine;
    private LocalLlmOptions? _options;
    private LoadProgress _progress = new("waiting for the first request", 0, 0);

    /// <summary>The name that clients see, as far as it is known before loading.</summary>
    public string ModelId => Options.ModelId ?? Path.GetFileName(Path.TrimEndingDirectorySeparator(Options.ModelPath));

    /// <summary>The engine if it is loaded, or null.</summary>
    public LlmEngine? Loaded => _engine is { IsCompletedSuccessfully: true } engine ? engine.Result : null;

    /// <summary>Why loading has failed, or null.</summary>
    public Exception? Failure => _engine?.Exception?.GetBaseException();

    /// <summary>How far loading is.</summary>
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
    public Task<LlmEngine> GetAsync(CancellationToken cancellationToken)
    {
        var chosen = Options;
        lock (_lock)
        {
            if (_engine is null or { IsFaulted: true })
                _engine = LlmEngine.LoadAsync(chosen.ToEngineOptions() with { LoggerFactory = loggerFactory }, this, CancellationToken.None);
            return _engine.WaitAsync(cancellationToken);
        }
    }

    /// <inheritdoc/>
    public async Task StartAsync(CancellationToken cancellationToken)
    {
        var engine = await GetAsync(cancellationToken).ConfigureAwait(false);
        if (Options.WarmUp)
            await engine.CompleteAsync(GenerationRequest.FromTokenIds([0], new() { MaxTokens = 1, Detokenize = false }), cancellationToken).ConfigureAwait(false);
    }

    /// <inheritdoc/>
    public async Task StopAsync(CancellationToken cancellationToken) => await DisposeAsync().ConfigureAwait(false);

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
            engine = _engine;
        if (engine is { IsFaulted: false, IsCanceled: false })
            await (await engine.ConfigureAwait(false)).DisposeAsync().ConfigureAwait(false);
    }

    /// <inheritdoc/>
    public void Dispose() => DisposeAsync().AsTask().GetAwaiter().GetResult();
}
