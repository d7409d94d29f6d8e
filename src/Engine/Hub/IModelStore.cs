namespace LocalLlm.Hub;

/// <summary>Where a repository's files lie on this machine.</summary>
internal interface IModelStore
{
    /// <summary>The folder that is loaded.</summary>
    string Folder { get; }

    /// <summary>Whether a file is there, complete, in this version.</summary>
    bool Has(RemoteFile file);

    /// <summary>The file that the lock of a download is held on.</summary>
    string LockOf(RemoteFile file);

    /// <summary>Where the bytes are collected, on the same volume.</summary>
    string PartialOf(RemoteFile file);

    /// <summary>The beginning of the file that another program's download has left behind, or null.</summary>
    string? BeginningOf(RemoteFile file);

    /// <summary>Puts a complete and checked file into its place.</summary>
    void Take(RemoteFile file, string partial);

    /// <summary>Called once all files are there.</summary>
    void Finish(string revision);
}
