namespace LocalLlm.Server.Bench;

/// <summary>What a benchmark runs.</summary>
internal sealed record BenchmarkSettings
{
    /// <summary>Tokens of every prompt.</summary>
    public required int InputLen { get; init; }

    /// <summary>Tokens of every answer; an end-of-sequence token does not end it.</summary>
    public required int OutputLen { get; init; }

    /// <summary>Throughput: where the requests come from.</summary>
    public BenchmarkDataset Dataset { get; init; }

    /// <summary>Throughput: prompts, all queued at once.</summary>
    public int NumPrompts { get; init; } = 1;

    /// <summary>Latency: prompts of one batch.</summary>
    public int BatchSize { get; init; } = 1;

    /// <summary>Latency: batches that are measured.</summary>
    public int NumIters { get; init; } = 1;

    /// <summary>Batches before the measurement; of throughput, short ones.</summary>
    public int NumItersWarmup { get; init; }

    /// <summary>Seed of the prompts and of the sampling.</summary>
    public long Seed { get; init; }

    /// <summary>Sampling as in vLLM's benchmarks, whatever the model's defaults are.</summary>
    public SamplingParams Sampling(int outputLen) => new()
    {
        Temperature = Dataset == BenchmarkDataset.NanoVllm ? NanoVllmWorkload.Temperature : 1,
        TopP = 1,
        TopK = 0,
        MinP = 0,
        RepetitionPenalty = 1,
        Seed = Seed,
        IgnoreEos = true,
        MaxTokens = outputLen,
    };
}
