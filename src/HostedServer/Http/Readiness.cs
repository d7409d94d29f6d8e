namespace LocalLlm.Server.Http;

/// <summary>
/// Checks whether the engine really computes tokens or embeddings. It passes if the engine has computed one since a recent check. Otherwise
/// it has the engine compute one, once for all concurrent checks.
/// </summary>
internal sealed class Readiness(LocalLlmServerOptions options, TimeProvider time)
{
    // A canary request that takes longer counts as failed.
    private static readonly TimeSpan CanaryTimeout = TimeSpan.FromSeconds(10);

    // One real token or embedding in this time is proof enough, however often the check runs.
    private static readonly TimeSpan Fresh = TimeSpan.FromSeconds(2);

    private readonly Lock _lock = new();
    private Task? _check;
    private (long Completed, long At)? _seen;
    private long? _lastMade;

    /// <summary>Runs the check.</summary>
    public async Task<bool> CheckAsync(ProgressProbe probe, CancellationToken cancellationToken)
    {
        Task check;
        lock (_lock)
        {
            if (IsWithin(Fresh))
                return true;
            if (_check is null or { IsCompleted: true })
                _check = LookAsync(probe);
            check = _check;
        }

        await check.WaitAsync(cancellationToken);
        lock (_lock)
            return IsWithin(options.ReadyWithin);
    }

    private async Task LookAsync(ProgressProbe probe)
    {
        var completed = probe.Completed();
        var hasProgress = _seen is { } seen && completed > seen.Completed && time.GetElapsedTime(seen.At) <= options.ReadyWithin;
        var isAlive = hasProgress || await WorksAsync(probe);
        lock (_lock)
        {
            if (isAlive)
                _lastMade = time.GetTimestamp();
            _seen = (probe.Completed(), time.GetTimestamp());
        }
    }

    private async Task<bool> WorksAsync(ProgressProbe probe)
    {
        using var timeout = new CancellationTokenSource(CanaryTimeout, time);
        try
        {
            await probe.ProbeAsync(timeout.Token);
            return true;
        }
        catch (Exception failure) when (failure is EngineException or OperationCanceledException)
        {
            return false;
        }
    }

    private bool IsWithin(TimeSpan span) => _lastMade is { } last && time.GetElapsedTime(last) <= span;
}
