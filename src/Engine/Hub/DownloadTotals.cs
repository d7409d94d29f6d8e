namespace LocalLlm.Hub;

/// <summary>Adds up the progress of several downloads at once.</summary>
internal sealed class DownloadTotals(IProgress<DownloadProgress>? progress, int filesTotal, long bytesTotal)
{
    private readonly Lock _lock = new();
    private readonly Dictionary<string, long> _bytes = new(StringComparer.Ordinal);
    private long _bytesDone;
    private int _filesDone;

    /// <summary>Adds bytes of a file that have arrived; a negative number must be fetched again.</summary>
    public void Add(RemoteFile file, long bytes) => Report(file, bytes, 0);

    /// <summary>Counts a file as complete.</summary>
    public void Complete(RemoteFile file)
    {
        lock (_lock)
            Report(file, file.Size!.Value - _bytes.GetValueOrDefault(file.Path), 1);
    }

    // Holds the lock, so that reports come in order.
    private void Report(RemoteFile file, long bytes, int files)
    {
        lock (_lock)
        {
            var own = _bytes[file.Path] = _bytes.GetValueOrDefault(file.Path) + bytes;
            _bytesDone += bytes;
            _filesDone += files;
            progress?.Report(new(file.Path, _bytesDone, bytesTotal, _filesDone, filesTotal) { FileBytesDone = own, FileBytesTotal = file.Size!.Value });
        }
    }
}
