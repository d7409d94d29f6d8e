namespace LocalLlm.Samples.Rag.Ingest;

internal enum IngestState
{
    /// <summary>Read and embedded.</summary>
    Ingested,

    /// <summary>The document had not changed: nothing was done.</summary>
    Unchanged,

    /// <summary>The folder no longer has it, so it was removed from the store.</summary>
    Removed,

    /// <summary>The document could not be read. The store keeps what it had of it.</summary>
    Failed,
}

/// <param name="Document">The document's name.</param>
/// <param name="State">What was done with it.</param>
/// <param name="Passages">How many passages it has.</param>
/// <param name="Questions">Question–answer pairs kept.</param>
/// <param name="Dropped">Pairs that failed a check, counted by reason; only for documents that were ingested in this run.</param>
/// <param name="Error">Why it could not be read.</param>
internal sealed record IngestOutcome(string Document, IngestState State, int Passages = 0, int Questions = 0, IReadOnlyDictionary<string, int>? Dropped = null, string? Error = null);

internal sealed record IngestReport(IReadOnlyList<IngestOutcome> Documents)
{
    public IReadOnlyList<IngestOutcome> Failed => [.. Documents.Where(document => document.State == IngestState.Failed)];

    public int Passages => Documents.Sum(document => document.Passages);

    public int Questions => Documents.Sum(document => document.Questions);
}
