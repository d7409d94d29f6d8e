namespace LocalLlm.Samples.Rag.Ingest;

/// <summary>Documents that the store has, but that could not be read when the folder was last looked at: what they say now is unknown, so
/// nothing is cited from them.</summary>
internal sealed class UnreadDocuments
{
    private volatile HashSet<string> _names = [];

    public bool Has(string document) => _names.Contains(document);

    public void Set(IEnumerable<string> names) => _names = [.. names];
}
