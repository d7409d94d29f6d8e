using System.Globalization;
using LocalLlm.Hub;

namespace LocalLlm.Tool;

/// <summary>A line for every file that was downloaded, where no bar can be drawn.</summary>
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
