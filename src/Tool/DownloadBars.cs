using LocalLlm.Hub;
using Spectre.Console;

namespace LocalLlm.Tool;

/// <summary>One progress bar for all files together, and one for every file being downloaded.</summary>
internal sealed class DownloadBars : IProgress<DownloadProgress>
{
    private const int MaxNameLength = 40;

    private readonly ProgressContext _context;
    private readonly ProgressTask _total;
    private readonly Dictionary<string, ProgressTask> _files = new(StringComparer.Ordinal);

    private DownloadBars(ProgressContext context)
    {
        _context = context;
        _total = context.AddTask("downloading");
        _total.IsIndeterminate = true;
    }

    /// <summary>Draws the bars while <paramref name="work"/> runs.</summary>
    public static Task<string> ShowAsync(IAnsiConsole console, Func<IProgress<DownloadProgress>, Task<string>> work) =>
        console.Progress()
            .AutoClear(true)
            .Columns(new TaskDescriptionColumn(), new ProgressBarColumn(), new PercentageColumn(), new DownloadedColumn(), new TransferSpeedColumn())
            .StartAsync(context => work(new DownloadBars(context)));

    /// <inheritdoc/>
    public void Report(DownloadProgress value)
    {
        _total.Description = $"{value.FilesDone} of {value.FilesTotal} files";
        Set(_total, value.BytesDone, value.BytesTotal);
        if (!_files.TryGetValue(value.File, out var bar))
            _files[value.File] = bar = _context.AddTask(Markup.Escape(value.File.Length > MaxNameLength ? "…" + value.File[^MaxNameLength..] : value.File));
        Set(bar, value.FileBytesDone, value.FileBytesTotal);
    }

    private static void Set(ProgressTask bar, long done, long total)
    {
        bar.IsIndeterminate = false;
        bar.MaxValue = Math.Max(1, total);
        bar.Value = total == 0 ? 1 : done;
    }
}
