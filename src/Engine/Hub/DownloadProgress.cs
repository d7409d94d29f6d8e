namespace LocalLlm.Hub;

/// <summary>How far a download is. Files that were there already count as done.</summary>
/// <param name="File">The file whose bytes have just come, as the repository names it.</param>
/// <param name="BytesDone">Bytes of all files that are on the disk.</param>
/// <param name="BytesTotal">Bytes of all files that are needed.</param>
/// <param name="FilesDone">Files that are complete and checked.</param>
/// <param name="FilesTotal">Files that are needed.</param>
public readonly record struct DownloadProgress(string File, long BytesDone, long BytesTotal, int FilesDone, int FilesTotal)
{
    /// <summary>Bytes of <see cref="File"/> that are on the disk.</summary>
    public long FileBytesDone { get; init; }

    /// <summary>Bytes of <see cref="File"/>.</summary>
    public long FileBytesTotal { get; init; }
}
