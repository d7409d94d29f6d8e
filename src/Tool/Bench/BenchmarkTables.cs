using System.Globalization;
using Spectre.Console;

namespace LocalLlm.Tool.Bench;

/// <summary>Reports as tables.</summary>
internal static class BenchmarkTables
{
    /// <summary>The table of a throughput run.</summary>
    public static Table Of(ThroughputReport report) => Make(
        "Offline throughput",
        ("requests", $"{report.NumRequests}"),
        ("elapsed", $"{report.ElapsedTime:F2} s"),
        ("requests/s", $"{report.RequestsPerSecond:F2}"),
        ("total tokens/s", $"{report.TokensPerSecond:F1}"),
        ("output tokens/s", $"{report.OutputTokensPerSecond:F1}"),
        ("steps", $"{report.Steps}, mean {report.MeanStepMs:F2} ms and {report.MeanStepTokens:F1} tokens"),
        Times("time to first token", report.TtftMs),
        Times("inter-token latency", report.ItlMs),
        Times("request", report.E2elMs));

    /// <summary>The table of a latency run.</summary>
    public static Table Of(LatencyReport report) => Make(
        "Latency of a batch",
        ("batch size", $"{report.BatchSize}"),
        ("batches", $"{report.Latencies.Count}"),
        ("mean latency", $"{report.AvgLatency:F3} s"),
        ("p50, p90, p99", $"{report.Percentiles["50"]:F3} s, {report.Percentiles["90"]:F3} s, {report.Percentiles["99"]:F3} s"),
        ("output tokens/s of a request", $"{report.OutputTokensPerSecondPerRequest:F1}"),
        ("mean step", $"{report.MeanStepMs:F2} ms"),
        Times("time to first token", report.TtftMs),
        Times("inter-token latency", report.ItlMs));

    /// <summary>The table of a run with arrivals.</summary>
    public static Table Of(ServeReport report) => Make(
        "Requests as they arrive",
        ("requests", $"{report.Completed}, at most {report.MaxConcurrentRequests} at once"),
        ("request rate", $"{(report.RequestRate is { } rate ? rate : double.PositiveInfinity)} requests/s asked for, {report.RequestThroughput:F2} answered"),
        ("duration", $"{report.Duration:F2} s"),
        ("input, output tokens", $"{report.TotalInputTokens}, {report.TotalOutputTokens}"),
        ("output tokens/s", $"{report.OutputThroughput:F1}"),
        ("total tokens/s", $"{report.TotalTokenThroughput:F1}"),
        Times("time to first token", report.TtftMs),
        Times("time per output token", report.TpotMs),
        Times("inter-token latency", report.ItlMs),
        Times("request", report.E2elMs));

    /// <summary>The table of drafts, warm-up included.</summary>
    public static Table Of(SpeculationStatistics drafts) => Make(
        "Speculative decoding",
        ("drafts", $"{drafts.Drafts} of {drafts.DraftTokens} tokens, {drafts.AcceptedTokens} accepted"),
        ("acceptance rate", $"{100 * drafts.AcceptanceRate:F1} %"),
        ("tokens of a step with drafts", $"mean {drafts.MeanAcceptanceLength:F2}"));

    private static (string, FormattableString) Times(string what, Distribution times) =>
        (what, $"mean {times.Mean:F2} ms, p50 {times.P50:F2} ms, p99 {times.P99:F2} ms");

    private static Table Make(string title, params (string What, FormattableString Value)[] rows)
    {
        var table = new Table().Border(TableBorder.Rounded).Title(title).AddColumn("").AddColumn("").HideHeaders();
        foreach (var (what, value) in rows)
            table.AddRow(Markup.Escape(what), Markup.Escape(value.ToString(CultureInfo.InvariantCulture)));
        return table;
    }
}
