namespace LocalLlm.Server.Http;

/// <summary>Whether the engine really makes tokens: it has made one since the last time somebody asked, or makes one now.</summary>
internal sealed class Readiness(LocalLlmServerOptions options, TimeProvider time) : IDisposable
{
    // A canary that takes longer is no sign of life.
    private static readonly TimeSpan CanaryTimeout = TimeSpan.FromSeconds(10);

    // One real token in so many seconds is proof enough, however often somebody asks.
    private static readonly TimeSpan Fresh = TimeSpan.FromSeconds(2);

    private readonly SemaphoreSlim _one = new(1);
    private long _tokens = -1;
    private long? _lastToken;

    /// <summary>Asks; at most one token is made for all who ask at the same time.</summary>
    public async Task<bool> CheckAsync(LlmEngine engine, CancellationToken cancellationToken)
    {
        if (IsWithin(Fresh))
            return true;
        await _one.WaitAsync(cancellationToken);
        try
        {
            if (IsWithin(Fresh))
                return true;
            var made = engine.Statistics.GeneratedTokens;
            if ((_tokens >= 0 && made > _tokens) || await MakesTokenAsync(engine, cancellationToken))
                _lastToken = time.GetTimestamp();
            _tokens = engine.Statistics.GeneratedTokens;
            return IsWithin(options.ReadyWithin);
        }
        finally
        {
            _one.Release();
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _one.Dispose();

    private static async Task<bool> MakesTokenAsync(LlmEngine engine, CancellationToken cancellationToken)
    {
        using var timeout = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        timeout.CancelAfter(CanaryTimeout);
        try
        {
            var result = await engine.CompleteAsync(GenerationRequest.FromTokenIds([0], new() { MaxTokens = 1, Detokenize = false }), timeout.Token);
            return result.Outputs[0].FinishReason is FinishReason.Length or FinishReason.Stop;
        }
        catch (Exception failure) when (failure is EngineException || (failure is OperationCanceledException && !cancellationToken.IsCancellationRequested))
        {
            return false;
        }
    }

    private bool IsWithin(TimeSpan span) => _lastToken is { } last && time.GetElapsedTime(last) <= span;
}
