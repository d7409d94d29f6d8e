using System.Globalization;
using Spectre.Console;

namespace LocalLlm.Tool.JsonLines;

/// <summary>A spinner with counts, if standard error is a terminal.</summary>
internal static class LineProgress
{
    /// <summary>Runs <paramref name="run"/>, which reports what it has written.</summary>
    public static Task<LineCounts> ShowAsync(Terminal terminal, Func<Action<LineCounts>?, Task<LineCounts>> run) => terminal.ShowsProgress
        ? terminal.Error.Status().StartAsync("waiting for the first result", context => run(counts => context.Status = Describe(counts)))
        : run(null);

    private static string Describe(LineCounts counts)
    {
        var failed = counts.Failed == 0 ? "" : string.Create(CultureInfo.InvariantCulture, $", {counts.Failed:N0} failed");
        var tokens = counts.Tokens == 0 ? "" : string.Create(CultureInfo.InvariantCulture, $", {counts.Tokens:N0} tokens");
        return string.Create(CultureInfo.InvariantCulture, $"{counts.Lines:N0} lines{failed}{tokens}");
    }
}
