using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace LocalLlm.Extensions.AI;

/// <summary>
/// Owns an engine of a container: loads it once, at the host's start or at the first request, and disposes it with the container.
/// </summary>
/// <param name="options">Returns the validated options.</param>
/// <param name="loggerFactory">Where the engine logs.</param>
/// <param name="earlier">Returns the models to load before this one.</param>
internal abstract class ModelHost<TEngine, TOptions>(Func<TOptions> options, ILoggerFactory? loggerFactory, Func<IEnumerable<ILoadedModel>> earlier) : IModelHost<TEngine>, ILoadedModel, IHostedService, IAsyncDisposable, IDisposable, IProgress<LoadProgress>
    where TEngine : class, IAsyncDisposable
    where TOptions : class, IModelOptions
{
    private readonly Lock _lock = new();
    private readonly CancellationTokenSource _stopping = new();
    private Task<TEngine>? _engine;
    private TOptions? _options;
    private LoadProgress _progress = new("waiting for the first request", 0, 0);

    /// <inheritdoc/>
    public string ModelId => LlmEngine.NameOf(Options.ToEngineOptions());

    /// <inheritdoc/>
    public TEngine? Loaded => _engine is { IsCompletedSuccessfully: true } engine ? engine.Result : null;

    /// <inheritdoc/>
    public virtual Exception? Failure => _engine?.Exception?.GetBaseException();

    /// <inheritdoc/>
    public bool IsLoaded => Loaded is not null;

    /// <inheritdoc/>
    public bool IsAlive => Loaded is { } engine && IsAliveOf(engine);

    /// <inheritdoc/>
    public bool HasFailed => Loaded is { } engine && HasFailedOf(engine);

    /// <inheritdoc/>
    public LoadProgress Progress
    {
        get
        {
            lock (_lock)
                return _progress;
        }
    }

    /// <inheritdoc/>
    public ModelActivity? Activity => Loaded is { } engine ? ActivityOf(engine) : null;

    /// <summary>The options, read once.</summary>
    protected TOptions Options => _options ??= options();

    /// <inheritdoc/>
    public Task<TEngine> GetAsync(CancellationToken cancellationToken) => Get(retry: true, cancellationToken);

    /// <inheritdoc/>
    public async Task WaitForEndAsync(CancellationToken cancellationToken)
    {
        var engine = await Get(retry: false, cancellationToken).ConfigureAwait(false);
        await CompletionOf(engine).WaitAsync(cancellationToken).ConfigureAwait(false);
    }

    /// <inheritdoc/>
    public async Task TriedAsync(CancellationToken cancellationToken)
    {
        try
        {
            await Get(retry: false, cancellationToken).ConfigureAwait(false);
        }
        catch (Exception)
        {
            // Requests for this model report the error.
        }
    }

    /// <inheritdoc/>
    public virtual Task StartAsync(CancellationToken cancellationToken)
    {
        if (!Options.LoadInBackground)
            return PrepareAsync(cancellationToken);
        // GetAsync and Failure report the outcome.
        Observe(PrepareAsync(_stopping.Token));
        return Task.CompletedTask;
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
    public virtual async ValueTask DisposeAsync()
    {
        Task<TEngine>? engine;
        lock (_lock)
        {
            engine = _engine;
            _stopping.Cancel();
        }

        if (engine is null)
            return;

        // The callers that waited for a failed or cancelled load have its error.
        await ((Task)engine).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        if (engine.IsCompletedSuccessfully)
            await engine.Result.DisposeAsync().ConfigureAwait(false);
    }

    /// <inheritdoc/>
    public void Dispose() => DisposeAsync().AsTask().GetAwaiter().GetResult();

    /// <summary>Loads an engine.</summary>
    protected abstract Task<TEngine> LoadAsync(EngineOptions engine, CancellationToken cancellationToken);

    /// <summary>Warms up a loaded engine for the first request.</summary>
    protected virtual Task WarmAsync(TEngine engine, CancellationToken cancellationToken) => Task.CompletedTask;

    /// <summary>Whether an engine accepts requests.</summary>
    protected abstract bool IsAliveOf(TEngine engine);

    /// <summary>Whether an engine has failed.</summary>
    protected abstract bool HasFailedOf(TEngine engine);

    /// <summary>Completes when an engine has ended.</summary>
    protected abstract Task CompletionOf(TEngine engine);

    /// <summary>What an engine is doing now.</summary>
    protected abstract ModelActivity ActivityOf(TEngine engine);

    /// <summary>Cancelled when the host stops.</summary>
    protected CancellationToken Stopping => _stopping.Token;

    private static void Observe(Task task) => task.ContinueWith(failed => _ = failed.Exception, CancellationToken.None, TaskContinuationOptions.OnlyOnFaulted, TaskScheduler.Default);

    private async Task PrepareAsync(CancellationToken cancellationToken)
    {
        var engine = await GetAsync(cancellationToken).ConfigureAwait(false);
        await WarmAsync(engine, cancellationToken).ConfigureAwait(false);
    }

    private Task<TEngine> Get(bool retry, CancellationToken cancellationToken)
    {
        var chosen = Options;
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_stopping.IsCancellationRequested && Loaded is null, this);
            if (_engine is null || (retry && _engine is { IsFaulted: true } or { IsCanceled: true }))
            {
                _engine = LoadAfterOthersAsync(chosen);
                // All waiting callers may cancel before the load fails.
                Observe(_engine);
            }

            return _engine.WaitAsync(cancellationToken);
        }
    }

    private async Task<TEngine> LoadAfterOthersAsync(TOptions chosen)
    {
        foreach (var other in earlier())
        {
            Report(new($"waiting for {other.ModelId}, which is loaded first", 0, 0));
            await other.TriedAsync(_stopping.Token).ConfigureAwait(false);
            _stopping.Token.ThrowIfCancellationRequested();
        }

        return await LoadAsync(chosen.ToEngineOptions() with { LoggerFactory = loggerFactory, MeterScope = this }, _stopping.Token).ConfigureAwait(false);
    }
}
