using System.Globalization;

namespace LocalLlm.Tool.Bench;

/// <summary>The latency of a batch, measured several times. Serialised in snake_case; the first three fields have vLLM's names.</summary>
internal sealed record LatencyReport
{
    private static readonly int[] Percents = [10, 25, 50, 75, 90, 99];

    /// <summary>Mean seconds per batch.</summary>
    public required double AvgLatency { get; init; }

    /// <summary>The seconds of every batch.</summary>
    public required IReadOnlyList<double> Latencies { get; init; }

    /// <summary>Percent → seconds.</summary>
    public required IReadOnlyDictionary<string, double> Percentiles { get; init; }

    /// <summary>Number of prompts in a batch.</summary>
    public required int BatchSize { get; init; }

    /// <summary>Output tokens per second of one request of the batch.</summary>
    public required double OutputTokensPerSecondPerRequest { get; init; }

    /// <summary>Mean milliseconds per engine step.</summary>
    public required double MeanStepMs { get; init; }

    /// <summary>Milliseconds to a request's first token.</summary>
    public required Distribution TtftMs { get; init; }

    /// <summary>Milliseconds between two tokens of a request.</summary>
    public required Distribution ItlMs { get; init; }

    /// <summary>The report of the measured batches.</summary>
    public static LatencyReport Of(IReadOnlyList<BatchRun> runs, int batchSize)
    {
        double[] latencies = [.. runs.Select(run => run.Elapsed)];
        double[] sorted = [.. latencies.Order()];
        return new()
        {
            AvgLatency = latencies.Average(),
            Latencies = latencies,
            Percentiles = Percents.ToDictionary(
                percent => percent.ToString(CultureInfo.InvariantCulture),
                percent => Distribution.Percentile(sorted, percent)),
            BatchSize = batchSize,
            OutputTokensPerSecondPerRequest = runs.Sum(run => run.OutputTokens) / (double)batchSize / latencies.Sum(),
            MeanStepMs = 1000 * latencies.Sum() / Math.Max(1, runs.Sum(run => run.Steps)),
            TtftMs = Distribution.Of([.. runs.SelectMany(run => run.TimeToFirstToken)], 1000),
            ItlMs = Distribution.Of([.. runs.SelectMany(run => run.InterTokenLatency)], 1000),
        };
    }
}
