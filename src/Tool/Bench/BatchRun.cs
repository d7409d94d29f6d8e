namespace LocalLlm.Tool.Bench;

/// <summary>When the requests of a run start.</summary>
/// <param name="Arrivals">Seconds after the start, one per request; empty: all at once.</param>
/// <param name="MaxConcurrency">Max requests under way at once; further ones wait, and their waiting time counts.</param>
internal readonly record struct RunPace(IReadOnlyList<double> Arrivals, int MaxConcurrency = int.MaxValue)
{
    /// <summary>All at once.</summary>
    public static RunPace Together => new([]);
}

/// <summary>The measurements of a run of requests. Times are in seconds.</summary>
internal sealed class BatchRun
{
    /// <summary>Time from the start of the batch to its last token.</summary>
    public double Elapsed { get; private set; }

    /// <summary>Time from a request's arrival to its first token, one per request.</summary>
    public List<double> TimeToFirstToken { get; } = [];

    /// <summary>Time between two tokens of one request.</summary>
    public List<double> InterTokenLatency { get; } = [];

    /// <summary>Mean time per token after the first; one value per request of several tokens.</summary>
    public List<double> TimePerOutputToken { get; } = [];

    /// <summary>Time from a request's arrival to its last token.</summary>
    public List<double> EndToEnd { get; } = [];

    /// <summary>Prompt tokens of all requests.</summary>
    public long PromptTokens { get; private set; }

    /// <summary>Tokens generated for all requests.</summary>
    public long OutputTokens { get; private set; }

    /// <summary>Engine steps.</summary>
    public long Steps { get; private set; }

    /// <summary>Max number of requests that were under way at once.</summary>
    public int MaxAtOnce { get; private set; }

    /// <summary>Runs <paramref name="requests"/>.</summary>
    /// <param name="engine">The engine, otherwise idle.</param>
    /// <param name="requests">The requests to run.</param>
    /// <param name="pace">When they start.</param>
    /// <param name="sampling">Gives the sampling parameters for an output length.</param>
    /// <param name="time">The clock.</param>
    /// <param name="cancellationToken">Cancels the run.</param>
    /// <exception cref="EngineException">A request was refused or failed.</exception>
    public static async Task<BatchRun> RunAsync(
        LlmEngine engine,
        IReadOnlyList<BenchmarkRequest> requests,
        RunPace pace,
        Func<int, SamplingParams> sampling,
        TimeProvider time,
        CancellationToken cancellationToken)
    {
        var run = new BatchRun();
        var steps = engine.Statistics.Steps;
        var underWay = 0;
        using var failed = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        using var slots = new SemaphoreSlim(Math.Min(pace.MaxConcurrency, requests.Count), int.MaxValue);
        var started = time.GetTimestamp();
        await Task.WhenAll(requests.Select((request, i) => OrCancelAsync(request, pace.Arrivals.Count == 0 ? 0 : pace.Arrivals[i])));
        run.Elapsed = time.GetElapsedTime(started).TotalSeconds;
        run.Steps = engine.Statistics.Steps - steps;
        return run;

        // A request that fails ends the run: otherwise the waiting ones would never get its place.
        async Task OrCancelAsync(BenchmarkRequest benchmark, double arrival)
        {
            try
            {
                await OneAsync(benchmark, arrival).ConfigureAwait(false);
            }
            catch (Exception failure) when (failure is not OperationCanceledException)
            {
                await failed.CancelAsync().ConfigureAwait(false);
                throw;
            }
        }

        async Task OneAsync(BenchmarkRequest benchmark, double arrival)
        {
            if (TimeSpan.FromSeconds(arrival) - time.GetElapsedTime(started) is { Ticks: > 0 } rest)
                await Task.Delay(rest, time, failed.Token).ConfigureAwait(false);
            await slots.WaitAsync(failed.Token).ConfigureAwait(false);
            lock (run)
                run.MaxAtOnce = Math.Max(run.MaxAtOnce, ++underWay);
            var (tokens, first, last) = (0, 0.0, 0.0);
            var gaps = new List<double>();
            var request = GenerationRequest.FromTokenIds(benchmark.Prompt, sampling(benchmark.OutputLen));
            await foreach (var output in engine.GenerateAsync(request, failed.Token).ConfigureAwait(false))
            {
                var now = time.GetElapsedTime(started).TotalSeconds - arrival;
                if (output.FinishReason == FinishReason.Error)
                    throw new EngineException(EngineErrorKind.GenerationFailed, output.Error!);
                // One output may hold several tokens if this reader was late.
                for (var i = 0; tokens > 0 && i < output.TokenIds.Count; i++)
                    gaps.Add((now - last) / output.TokenIds.Count);
                if (tokens == 0)
                    first = now;
                last = now;
                tokens += output.TokenIds.Count;
            }

            lock (run)
            {
                underWay--;
                if (tokens > 1)
                    run.TimePerOutputToken.Add((last - first) / (tokens - 1));
                run.PromptTokens += benchmark.Prompt.Length;
                run.OutputTokens += tokens;
                run.TimeToFirstToken.Add(first);
                run.InterTokenLatency.AddRange(gaps);
                run.EndToEnd.Add(last);
            }

            slots.Release();
        }
    }
}
