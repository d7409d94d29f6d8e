using LocalLlm.Samples.Rag.Configuration;
using LocalLlm.Samples.Rag.Documents;
using Microsoft.Extensions.Options;

namespace LocalLlm.Samples.Rag.Ingest;

/// <summary>
/// Keeps the store in step with the documents folder while a program runs: before an answer the folder is checked, and changed, added and
/// removed documents are ingested first. The check compares names, sizes, times and permissions, as git does. Files are read only if these
/// differ, or if the last change is so recent that another one could have the same time. One caller works at a time; all others wait.
/// </summary>
internal sealed class FreshDocuments(DocumentFolder folder, Ingestion ingestion, UnreadDocuments unread, IngestLog log, TimeProvider time, IOptions<RagOptions> options) : IDisposable
{
    // At least as coarse as the clock of any file system in use (FAT: 2 s).
    private static readonly TimeSpan s_clockStep = TimeSpan.FromSeconds(2);

    private readonly TimeSpan _interval = options.Value.Documents.RefreshInterval;
    private readonly SemaphoreSlim _gate = new(1, 1);
    private readonly Dictionary<string, int> _changes = [];
    private Dictionary<string, string> _errors = [];
    private string? _seen;
    private bool _isSettled;
    private long _lookedAt;

    /// <summary>Increases whenever a document was changed, added or removed.</summary>
    public int Generation { get; private set; }

    /// <summary>Brings the store up to date, unless the folder was checked less than <see cref="DocumentOptions.RefreshInterval"/>
    /// ago.</summary>
    /// <exception cref="RagException">The folder or the store cannot be used, so no question can be answered from them.</exception>
    public async Task EnsureAsync(CancellationToken cancellationToken)
    {
        await _gate.WaitAsync(cancellationToken);
        try
        {
            if (_seen is not null && _interval > TimeSpan.Zero && time.GetElapsedTime(_lookedAt) < _interval)
                return;
            // Taken before reading, so that the next check finds what changes meanwhile.
            var (now, timestamp) = (time.GetUtcNow(), time.GetTimestamp());
            var state = folder.State();
            if (_seen != state.Stamp || !_isSettled)
                await IngestAsync(cancellationToken);
            (_seen, _isSettled, _lookedAt) = (state.Stamp, state.LastChange < now - s_clockStep, timestamp);
        }
        finally
        {
            _gate.Release();
        }
    }

    /// <summary>Whether any of the documents was changed or removed after a generation.</summary>
    public bool HaveChanged(IEnumerable<string> documents, int since)
    {
        lock (_changes)
            return documents.Any(document => _changes.GetValueOrDefault(document) > since);
    }

    public void Dispose() => _gate.Dispose();

    private async Task IngestAsync(CancellationToken cancellationToken)
    {
        var report = await ingestion.RunAsync(new NewsOnly(new IngestLines(log.Output), IsNews), cancellationToken);
        unread.Set(report.Failed.Select(document => document.Document));
        var errors = report.Failed.ToDictionary(document => document.Document, document => document.Error ?? "");
        var changed = report.Documents.Where(document => document.State is IngestState.Ingested or IngestState.Removed || (document.State == IngestState.Failed && IsNews(document))).ToArray();
        _errors = errors;
        if (_seen is null || changed.Length > 0)
            await IngestLines.WriteTotalAsync(log.Output, report);
        if (changed.Length == 0)
            return;
        Generation++;
        lock (_changes)
        {
            foreach (var document in changed)
                _changes[document.Document] = Generation;
        }
    }

    // Reports the same failure once.
    private bool IsNews(IngestOutcome outcome) => outcome.State != IngestState.Failed || _errors.GetValueOrDefault(outcome.Document) != (outcome.Error ?? "");

    private sealed class NewsOnly(IngestLines lines, Predicate<IngestOutcome> isNews) : IProgress<IngestOutcome>
    {
        public void Report(IngestOutcome value)
        {
            if (isNews(value))
                lines.Report(value);
        }
    }
}

/// <param name="Output">Receives the report of what was ingested.</param>
internal sealed record IngestLog(TextWriter Output);
