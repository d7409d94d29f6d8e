namespace LocalLlm.Server.Http;

/// <summary>
/// Whether the engine really makes tokens, or embeddings: it has made one since somebody asked a while ago, or makes one now, for all who
/// ask meanwhile.
/// </summary>
internal sealed class Readiness(LocalLlmServerOptions options, TimeProvider time)
{
    // A canary that takes longer is no sign of life.
    private static readonly TimeSpan CanaryTimeout = TimeSpan.FromSeconds(10);

    // One real token or embedding in so many seconds is proof enough, however often somebody asks.
    private static readonly TimeSpan Fresh = TimeSpan.FromSeconds(2);

    private readonly Lock _lock = new();
    private Task? _check;
    private (long Made, long At)? _seen;
    private long? _lastMade;

    /// <summary>Asks.</summary>
    public async Task<bool> CheckAsync(Pulse pulse, CancellationToken cancellationToken)
    {
        Task check;
        lock (_lock)
        {
            if (IsWithin(Fresh))
                return true;
            if (_check is null or { IsCompleted: true })
                _check = LookAsync(pulse);
            check = _check;
        }

        await check.WaitAsync(cancellationToken);
        lock (_lock)
            return IsWithin(options.ReadyWithin);
    }

    private async Task LookAsync(Pulse pulse)
    {
        var made = pulse.Made();
        var hasMade = _seen is { } seen && made > seen.Made && time.GetElapsedTime(seen.At) <= options.ReadyWithin;
        var isAlive = hasMade || await WorksAsync(pulse);
        lock (_lock)
        {
            if (isAlive)
                _lastMade = time.GetTimestamp();
            _seen = (pulse.Made(), time.GetTimestamp());
        }
    }

    private async Task<bool> WorksAsync(Pulse pulse)
    {
        using var timeout = new CancellationTokenSource(CanaryTimeout, time);
        try
        {
            await pulse.CreateOneAsync(timeout.Token);
            return true;
        }
        catch (Exception failure) when (failure is EngineException or OperationCanceledException)
        {
            return false;
        }
    }

    private bool IsWithin(TimeSpan span) => _lastMade is { } last && time.GetElapsedTime(last) <= span;
}
