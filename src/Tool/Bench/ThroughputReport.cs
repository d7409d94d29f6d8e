namespace LocalLlm.Tool.Bench;

/// <summary>
/// Offline throughput: every prompt is queued at once. Serialised in snake_case; the first five fields have vLLM's names.
/// </summary>
internal sealed record ThroughputReport
{
    /// <summary>Seconds from the first request to the last token.</summary>
    public required double ElapsedTime { get; init; }

    /// <summary>Number of requests.</summary>
    public required int NumRequests { get; init; }

    /// <summary>Number of prompt and output tokens.</summary>
    public required long TotalNumTokens { get; init; }

    /// <summary>Requests per second.</summary>
    public required double RequestsPerSecond { get; init; }

    /// <summary>Prompt and output tokens per second.</summary>
    public required double TokensPerSecond { get; init; }

    /// <summary>Output tokens per second.</summary>
    public required double OutputTokensPerSecond { get; init; }

    /// <summary>Number of engine steps.</summary>
    public required long Steps { get; init; }

    /// <summary>Mean milliseconds per step.</summary>
    public required double MeanStepMs { get; init; }

    /// <summary>Mean number of prompt and output tokens computed per step.</summary>
    public required double MeanStepTokens { get; init; }

    /// <summary>Milliseconds from the start to a request's first token, including waiting.</summary>
    public required Distribution TtftMs { get; init; }

    /// <summary>Milliseconds between two tokens of a request.</summary>
    public required Distribution ItlMs { get; init; }

    /// <summary>Milliseconds from the start to a request's last token.</summary>
    public required Distribution E2elMs { get; init; }

    /// <summary>The report of one measured batch.</summary>
    public static ThroughputReport Of(BatchRun run) => new()
    {
        ElapsedTime = run.Elapsed,
        NumRequests = run.EndToEnd.Count,
        TotalNumTokens = run.PromptTokens + run.OutputTokens,
        RequestsPerSecond = run.EndToEnd.Count / run.Elapsed,
        TokensPerSecond = (run.PromptTokens + run.OutputTokens) / run.Elapsed,
        OutputTokensPerSecond = run.OutputTokens / run.Elapsed,
        Steps = run.Steps,
        MeanStepMs = 1000 * run.Elapsed / Math.Max(1, run.Steps),
        MeanStepTokens = (double)(run.PromptTokens + run.OutputTokens) / Math.Max(1, run.Steps),
        TtftMs = Distribution.Of(run.TimeToFirstToken, 1000),
        ItlMs = Distribution.Of(run.InterTokenLatency, 1000),
        E2elMs = Distribution.Of(run.EndToEnd, 1000),
    };
}
