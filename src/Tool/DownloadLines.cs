using System.Globalization;
using LocalLlm.Hub;

namespace LocalLlm.Tool;

/// <summary>Writes a line for every downloaded file, for output that cannot show progress bars.</summary>
internal sealed class DownloadLines(TextWriter writer) : IProgress<DownloadProgress>
{
    private readonly HashSet<string> _begun = new(StringComparer.Ordinal);
    private int _filesDone;

    /// <inheritdoc/>
    public void Report(DownloadProgress value)
    {
        if (value.FilesDone == _filesDone)
            _begun.Add(value.File);
        else if (_begun.Contains(value.File))
            writer.WriteLine(string.Create(CultureInfo.InvariantCulture, $"downloaded {value.File}, {ByteSize.Text(value.FileBytesTotal)} ({value.FilesDone} of {value.FilesTotal})"));
        _filesDone = value.FilesDone;
    }
}
