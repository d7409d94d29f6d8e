namespace LocalLlm.Hub;

/// <summary>The progress of a download. Files that were already on the disk count as done.</summary>
/// <param name="File">The file that has just received bytes, under its name in the repository.</param>
/// <param name="BytesDone">Bytes on the disk, over all files.</param>
/// <param name="BytesTotal">Bytes needed, over all files.</param>
/// <param name="FilesDone">Files that are complete and checked.</param>
/// <param name="FilesTotal">Number of files needed.</param>
public readonly record struct DownloadProgress(string File, long BytesDone, long BytesTotal, int FilesDone, int FilesTotal)
{
    /// <summary>Bytes of <see cref="File"/> that are on the disk.</summary>
    public long FileBytesDone { get; init; }

    /// <summary>Bytes of <see cref="File"/>.</summary>
    public long FileBytesTotal { get; init; }
}
