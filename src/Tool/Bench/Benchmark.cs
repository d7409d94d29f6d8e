
namespace LocalLlm.Tool.Bench;

/// <summary>vLLM's benchmarks over one loaded engine.</summary>
/// <param name="engine">The engine, otherwise idle.</param>
/// <param name="settings">What to run.</param>
/// <param name="time">The clock.</param>
internal sealed class Benchmark(LlmEngine engine, BenchmarkSettings settings, TimeProvider time)
{
    private const int WarmupOutputLen = 8;
    private const int WarmupPrompts = 4;

    private readonly RandomPrompts _prompts = new(VocabularySizeOf(engine), settings.Seed);

    /// <summary>Queues every prompt at once and measures until the last is done.</summary>
    public async Task<ThroughputReport> ThroughputAsync(CancellationToken cancellationToken)
    {
        await WarmUpAsync(cancellationToken);
        return ThroughputReport.Of(await RunAsync(Requests(), RunPace.Together, cancellationToken));
    }

    /// <summary>Starts requests at a rate, as clients of a server would, and measures until the last is done.</summary>
    public async Task<ServeReport> ServeAsync(CancellationToken cancellationToken)
    {
        await WarmUpAsync(cancellationToken);
        var requests = Requests();
        var arrivals = ArrivalTimes.Draw(requests.Count, settings.RequestRate, settings.Burstiness, settings.Seed);
        return ServeReport.Of(await RunAsync(requests, new(arrivals, settings.MaxConcurrency), cancellationToken), settings.RequestRate);
    }

    /// <summary>Runs one batch after the other.</summary>
    public async Task<LatencyReport> LatencyAsync(CancellationToken cancellationToken)
    {
        for (var i = 0; i < settings.NumItersWarmup; i++)
            await RunAsync(settings.BatchSize, settings.OutputLen, cancellationToken);
        var runs = new List<BatchRun>();
        for (var i = 0; i < settings.NumIters; i++)
            runs.Add(await RunAsync(settings.BatchSize, settings.OutputLen, cancellationToken));
        return LatencyReport.Of(runs, settings.BatchSize);
    }

    private async Task WarmUpAsync(CancellationToken cancellationToken)
    {
        for (var i = 0; i < settings.NumItersWarmup; i++)
            await RunAsync(Math.Min(WarmupPrompts, settings.NumPrompts), Math.Min(WarmupOutputLen, settings.OutputLen), cancellationToken);
    }

    private IReadOnlyList<BenchmarkRequest> Requests() =>
        settings.Dataset == BenchmarkDataset.NanoVllm ? NanoVllmWorkload.Create(VocabularySizeOf(engine)) : Random(settings.NumPrompts, settings.OutputLen);

    private BenchmarkRequest[] Random(int prompts, int outputLen) =>
        [.. _prompts.Next(prompts, settings.InputLen).Select(prompt => new BenchmarkRequest(prompt, outputLen))];

    private Task<BatchRun> RunAsync(int prompts, int outputLen, CancellationToken cancellationToken) =>
        RunAsync(Random(prompts, outputLen), RunPace.Together, cancellationToken);

    private Task<BatchRun> RunAsync(IReadOnlyList<BenchmarkRequest> requests, RunPace pace, CancellationToken cancellationToken) =>
        BatchRun.RunAsync(engine, requests, pace, settings.Sampling, time, cancellationToken);

    private static int VocabularySizeOf(LlmEngine engine)
    {
        var rows = engine.VocabularySize;
        return Math.Min(rows, engine.Tokenizer?.VocabularySize ?? rows);
    }
}
