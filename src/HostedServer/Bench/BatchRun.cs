namespace LocalLlm.Server.Bench;

/// <summary>What one batch of requests, started together, took. Times in seconds.</summary>
internal sealed class BatchRun
{
    /// <summary>From the start of the batch to its last token.</summary>
    public double Elapsed { get; private set; }

    /// <summary>From the start to a request's first token, one per request.</summary>
    public List<double> TimeToFirstToken { get; } = [];

    /// <summary>Between two tokens of one request.</summary>
    public List<double> InterTokenLatency { get; } = [];

    /// <summary>From the start to a request's last token.</summary>
    public List<double> EndToEnd { get; } = [];

    /// <summary>Prompt tokens of all requests.</summary>
    public long PromptTokens { get; private set; }

    /// <summary>Tokens generated for all requests.</summary>
    public long OutputTokens { get; private set; }

    /// <summary>Engine steps.</summary>
    public long Steps { get; private set; }

    /// <summary>Runs <paramref name="requests"/> together.</summary>
    /// <param name="engine">Otherwise idle.</param>
    /// <param name="requests">What to run.</param>
    /// <param name="sampling">The parameters of a request of some output length.</param>
    /// <param name="time">The clock.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <exception cref="EngineException">A request was refused or failed.</exception>
    public static async Task<BatchRun> RunAsync(
        LlmEngine engine,
        IReadOnlyList<BenchmarkRequest> requests,
        Func<int, SamplingParams> sampling,
        TimeProvider time,
        CancellationToken cancellationToken)
    {
        var run = new BatchRun();
        var steps = engine.Statistics.Steps;
        var started = time.GetTimestamp();
        await Task.WhenAll(requests.Select(OneAsync));
        run.Elapsed = time.GetElapsedTime(started).TotalSeconds;
        run.Steps = engine.Statistics.Steps - steps;
        return run;

        async Task OneAsync(BenchmarkRequest benchmark)
        {
            var (tokens, first, last) = (0, 0.0, 0.0);
            var gaps = new List<double>();
            var request = GenerationRequest.FromTokenIds(benchmark.Prompt, sampling(benchmark.OutputLen));
            await foreach (var output in engine.GenerateAsync(request, cancellationToken).ConfigureAwait(false))
            {
                var now = time.GetElapsedTime(started).TotalSeconds;
                if (output.FinishReason == FinishReason.Error)
                    throw new EngineException(EngineErrorKind.GenerationFailed, output.Error!);
                // A piece may hold several tokens when this reader was late.
                for (var i = 0; tokens > 0 && i < output.TokenIds.Count; i++)
                    gaps.Add((now - last) / output.TokenIds.Count);
                if (tokens == 0)
                    first = now;
                last = now;
                tokens += output.TokenIds.Count;
            }

            lock (run)
            {
                run.PromptTokens += benchmark.Prompt.Length;
                run.OutputTokens += tokens;
                run.TimeToFirstToken.Add(first);
                run.InterTokenLatency.AddRange(gaps);
                run.EndToEnd.Add(last);
            }
        }
    }
}
