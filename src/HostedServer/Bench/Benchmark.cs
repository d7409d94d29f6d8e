using LocalLlm.Models;

namespace LocalLlm.Server.Bench;

/// <summary>vLLM's offline benchmarks over one loaded engine.</summary>
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
        for (var i = 0; i < settings.NumItersWarmup; i++)
            await RunAsync(Math.Min(WarmupPrompts, settings.NumPrompts), Math.Min(WarmupOutputLen, settings.OutputLen), cancellationToken);
        return ThroughputReport.Of(settings.Dataset == BenchmarkDataset.NanoVllm
            ? await RunAsync(NanoVllmWorkload.Create(VocabularySizeOf(engine)), cancellationToken)
            : await RunAsync(settings.NumPrompts, settings.OutputLen, cancellationToken));
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

    private Task<BatchRun> RunAsync(int prompts, int outputLen, CancellationToken cancellationToken) =>
        RunAsync([.. _prompts.Next(prompts, settings.InputLen).Select(prompt => new BenchmarkRequest(prompt, outputLen))], cancellationToken);

    private Task<BatchRun> RunAsync(IReadOnlyList<BenchmarkRequest> requests, CancellationToken cancellationToken) =>
        BatchRun.RunAsync(engine, requests, settings.Sampling, time, cancellationToken);

    private static int VocabularySizeOf(LlmEngine engine)
    {
        var rows = ModelConfig.Load(engine.Options.ModelPath).VocabSize;
        return Math.Min(rows, engine.Tokenizer?.VocabularySize ?? rows);
    }
}
