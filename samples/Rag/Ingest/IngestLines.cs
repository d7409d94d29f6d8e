namespace LocalLlm.Samples.Rag.Ingest;

/// <summary>Writes a line for each document that was processed.</summary>
internal sealed class IngestLines(TextWriter output) : IProgress<IngestOutcome>
{
    public void Report(IngestOutcome value)
    {
        var name = PlainLine.Of(value.Document);
        var line = value.State switch
        {
            IngestState.Ingested => $"{name}: {value.Passages} passages, {Pairs(value)}",
            IngestState.Removed => $"{name}: removed",
            IngestState.Failed => $"{name}: not read: {PlainLine.Of(value.Error ?? "")}{(value.Passages > 0 ? " What the store had of it stays." : "")}",
            _ => null,
        };
        if (line is not null)
            output.WriteLine(line);
    }

    public static Task WriteTotalAsync(TextWriter output, IngestReport report)
    {
        var unchanged = report.Documents.Count(document => document.State == IngestState.Unchanged);
        var read = report.Documents.Count(document => document.State is IngestState.Ingested or IngestState.Unchanged);
        return output.WriteLineAsync($"{read} documents ({unchanged} unchanged), {report.Passages} passages, {report.Questions} question–answer pairs{(report.Failed.Count > 0 ? $"; {report.Failed.Count} not read" : "")}");
    }

    private static string Pairs(IngestOutcome outcome)
    {
        var dropped = outcome.Dropped ?? new Dictionary<string, int>();
        var reasons = dropped.Count == 0 ? "" : $" ({string.Join(", ", dropped.Select(reason => $"{reason.Value} {reason.Key}"))})";
        return $"{outcome.Questions} question–answer pairs kept, {dropped.Values.Sum()} dropped{reasons}";
    }
}
