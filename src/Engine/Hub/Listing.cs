namespace LocalLlm.Hub;

/// <summary>The files of a repository at one revision.</summary>
/// <param name="Commit">Hugging Face: the commit, 40 hex digits; ModelScope: the revision to request files with.</param>
/// <param name="Files">All files.</param>
internal sealed record Listing(string Commit, IReadOnlyList<RemoteFile> Files)
{
    /// <summary>Max files; no model has more.</summary>
    public const int MaxFiles = 100_000;
}
