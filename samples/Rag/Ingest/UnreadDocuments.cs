namespace LocalLlm.Samples.Rag.Ingest;

/// <summary>Documents in the store that could not be read at the last check of the folder. Their present content is unknown, so they are
/// not cited.</summary>
internal sealed class UnreadDocuments
{
    private volatile HashSet<string> _names = [];

    public bool Has(string document) => _names.Contains(document);

    public void Set(IEnumerable<string> names) => _names = [.. names];
}
