namespace LocalLlm.Hub;

/// <summary>What a repository holds at one revision.</summary>
/// <param name="Commit">Hugging Face: the commit, 40 hex digits; ModelScope: the revision that files are asked for by.</param>
/// <param name="Files">All files.</param>
internal sealed record Listing(string Commit, IReadOnlyList<RemoteFile> Files)
{
    /// <summary>More files are no model.</summary>
    public const int MaxFiles = 100_000;
}
