namespace LocalLlm.Tool.Bench;

/// <summary>The settings of a benchmark.</summary>
internal sealed record BenchmarkSettings
{
    /// <summary>Number of tokens of every prompt.</summary>
    public required int InputLen { get; init; }

    /// <summary>Number of tokens of every output; an end-of-sequence token does not end it.</summary>
    public required int OutputLen { get; init; }

    /// <summary>Throughput and serve: where the requests come from.</summary>
    public BenchmarkDataset Dataset { get; init; }

    /// <summary>Throughput and serve: number of requests.</summary>
    public int NumPrompts { get; init; } = 1;

    /// <summary>Serve: requests per second; infinity: all at once.</summary>
    public double RequestRate { get; init; } = double.PositiveInfinity;

    /// <summary>Serve: see <see cref="ArrivalTimes"/>.</summary>
    public double Burstiness { get; init; } = 1;

    /// <summary>Serve: max requests under way at once.</summary>
    public int MaxConcurrency { get; init; } = int.MaxValue;

    /// <summary>Latency: number of prompts in a batch.</summary>
    public int BatchSize { get; init; } = 1;

    /// <summary>Latency: number of measured batches.</summary>
    public int NumIters { get; init; } = 1;

    /// <summary>Number of batches before the measurement; throughput and serve use short ones.</summary>
    public int NumItersWarmup { get; init; }

    /// <summary>Seed of the prompts and of the sampling.</summary>
    public long Seed { get; init; }

    /// <summary>The temperature; null: 1, or the dataset's.</summary>
    public double? Temperature { get; init; }

    /// <summary>See <see cref="SamplingParams.TopP"/>.</summary>
    public double TopP { get; init; } = 1;

    /// <summary>See <see cref="SamplingParams.TopK"/>.</summary>
    public int TopK { get; init; }

    /// <summary>See <see cref="SamplingParams.MinP"/>.</summary>
    public double MinP { get; init; }

    /// <summary>Sampling as in vLLM's benchmarks, whatever the model's defaults are.</summary>
    public SamplingParams Sampling(int outputLen) => new()
    {
        Temperature = Temperature ?? (Dataset == BenchmarkDataset.NanoVllm ? NanoVllmWorkload.Temperature : 1),
        TopP = TopP,
        TopK = TopK,
        MinP = MinP,
        RepetitionPenalty = 1,
        Seed = Seed,
        IgnoreEos = true,
        MaxTokens = outputLen,
    };
}
