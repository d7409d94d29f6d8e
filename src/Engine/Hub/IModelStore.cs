namespace LocalLlm.Hub;

/// <summary>Where a repository's files are stored on this machine.</summary>
internal interface IModelStore
{
    /// <summary>The folder to load.</summary>
    string Folder { get; }

    /// <summary>Whether a file is stored, complete and in this version.</summary>
    bool Has(RemoteFile file);

    /// <summary>The file to lock during a download.</summary>
    string LockOf(RemoteFile file);

    /// <summary>Where to collect the bytes of a file, on the same volume.</summary>
    string PartialOf(RemoteFile file);

    /// <summary>The beginning of the file, left by another program's unfinished download, or null.</summary>
    string? BeginningOf(RemoteFile file);

    /// <summary>Moves a complete and checked file to its place.</summary>
    void Take(RemoteFile file, string partial);

    /// <summary>Records the revision once all files are stored.</summary>
    void Finish(string revision);
}
