namespace LocalLlm.Tool.Bench;

/// <summary>
/// The report of requests that arrived over time. Serialised in snake_case, with the field names of vLLM's <c>bench serve</c>.
/// </summary>
internal sealed record ServeReport
{
    /// <summary>Seconds from the start, before the first gap, to the last token.</summary>
    public required double Duration { get; init; }

    /// <summary>Number of completed requests.</summary>
    public required int Completed { get; init; }

    /// <summary>The requested rate in requests per second; null: all at once.</summary>
    public required double? RequestRate { get; init; }

    /// <summary>Max number of requests that were under way at once.</summary>
    public required int MaxConcurrentRequests { get; init; }

    /// <summary>Prompt tokens.</summary>
    public required long TotalInputTokens { get; init; }

    /// <summary>Generated tokens.</summary>
    public required long TotalOutputTokens { get; init; }

    /// <summary>Requests per second.</summary>
    public required double RequestThroughput { get; init; }

    /// <summary>Output tokens per second.</summary>
    public required double OutputThroughput { get; init; }

    /// <summary>Prompt and output tokens per second.</summary>
    public required double TotalTokenThroughput { get; init; }

    /// <summary>Milliseconds from a request's arrival to its first token.</summary>
    public required Distribution TtftMs { get; init; }

    /// <summary>Mean milliseconds per token of a request after the first.</summary>
    public required Distribution TpotMs { get; init; }

    /// <summary>Milliseconds between two tokens of a request.</summary>
    public required Distribution ItlMs { get; init; }

    /// <summary>Milliseconds from a request's arrival to its last token.</summary>
    public required Distribution E2elMs { get; init; }

    /// <summary>The report of one run.</summary>
    public static ServeReport Of(BatchRun run, double rate) => new()
    {
        Duration = run.Elapsed,
        Completed = run.EndToEnd.Count,
        RequestRate = double.IsPositiveInfinity(rate) ? null : rate,
        MaxConcurrentRequests = run.MaxAtOnce,
        TotalInputTokens = run.PromptTokens,
        TotalOutputTokens = run.OutputTokens,
        RequestThroughput = run.EndToEnd.Count / run.Elapsed,
        OutputThroughput = run.OutputTokens / run.Elapsed,
        TotalTokenThroughput = (run.PromptTokens + run.OutputTokens) / run.Elapsed,
        TtftMs = Distribution.Of(run.TimeToFirstToken, 1000),
        TpotMs = Distribution.Of(run.TimePerOutputToken, 1000),
        ItlMs = Distribution.Of(run.InterTokenLatency, 1000),
        E2elMs = Distribution.Of(run.EndToEnd, 1000),
    };
}
