namespace LocalLlm.Samples.Rag.Ingest;

internal enum IngestState
{
    /// <summary>Read and embedded.</summary>
    Ingested,

    /// <summary>As it was: nothing was done.</summary>
    Unchanged,

    /// <summary>Gone from the folder, and so from the store.</summary>
    Removed,

    /// <summary>It could not be read. What the store had of it stays.</summary>
    Failed,
}

/// <param name="Document">The document's name.</param>
/// <param name="State">What became of it.</param>
/// <param name="Passages">How many it has.</param>
/// <param name="Questions">Question–answer pairs kept.</param>
/// <param name="Dropped">Pairs that failed a check, counted by the reason; of documents that were ingested now.</param>
/// <param name="Error">Why it failed.</param>
internal sealed record IngestOutcome(string Document, IngestState State, int Passages = 0, int Questions = 0, IReadOnlyDictionary<string, int>? Dropped = null, string? Error = null);

internal sealed record IngestReport(IReadOnlyList<IngestOutcome> Documents)
{
    public IReadOnlyList<IngestOutcome> Failed => [.. Documents.Where(document => document.State == IngestState.Failed)];

    public int Passages => Documents.Sum(document => document.Passages);

    public int Questions => Documents.Sum(document => document.Questions);
}
