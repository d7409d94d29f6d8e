namespace LocalLlm.Server.Http;

/// <summary>Whether the engine really makes tokens: it has made one since somebody asked a while ago, or makes one now, for all who ask meanwhile.</summary>
internal sealed class Readiness(LocalLlmServerOptions options, TimeProvider time)
{
    // A canary that takes longer is no sign of life.
    private static readonly TimeSpan CanaryTimeout = TimeSpan.FromSeconds(10);

    // One real token in so many seconds is proof enough, however often somebody asks.
    private static readonly TimeSpan Fresh = TimeSpan.FromSeconds(2);

    private readonly Lock _lock = new();
    private Task? _check;
    private (long Tokens, long At)? _seen;
    private long? _lastToken;

    /// <summary>Asks.</summary>
    public async Task<bool> CheckAsync(LlmEngine engine, CancellationToken cancellationToken)
    {
        Task check;
        lock (_lock)
        {
            if (IsWithin(Fresh))
                return true;
            if (_check is null or { IsCompleted: true })
                _check = LookAsync(engine);
            check = _check;
        }

        await check.WaitAsync(cancellationToken);
        lock (_lock)
            return IsWithin(options.ReadyWithin);
    }

    private async Task LookAsync(LlmEngine engine)
    {
        var made = engine.Statistics.GeneratedTokens;
        var hasMade = _seen is { } seen && made > seen.Tokens && time.GetElapsedTime(seen.At) <= options.ReadyWithin;
        var isAlive = hasMade || await MakesTokenAsync(engine);
        lock (_lock)
        {
            if (isAlive)
                _lastToken = time.GetTimestamp();
            _seen = (engine.Statistics.GeneratedTokens, time.GetTimestamp());
        }
    }

    private async Task<bool> MakesTokenAsync(LlmEngine engine)
    {
        using var timeout = new CancellationTokenSource(CanaryTimeout, time);
        try
        {
            var result = await engine.CompleteAsync(GenerationRequest.FromTokenIds([0], new() { MaxTokens = 1, Detokenize = false }) with { IsProbe = true }, timeout.Token);
            return result.Outputs[0].FinishReason is FinishReason.Length or FinishReason.Stop;
        }
        catch (Exception failure) when (failure is EngineException or OperationCanceledException)
        {
            return false;
        }
    }

    private bool IsWithin(TimeSpan span) => _lastToken is { } last && time.GetElapsedTime(last) <= span;
}
