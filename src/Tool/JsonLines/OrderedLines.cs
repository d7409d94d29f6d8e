using System.Threading.Channels;

namespace LocalLlm.Tool.JsonLines;

/// <summary>
/// Runs many lines at once and writes their results in line order, each as soon as all results before it are written. However
/// long the file is, it reads ahead only a limited number of lines and bytes.
/// </summary>
/// <param name="input">The lines; owned by the caller.</param>
/// <param name="output">The stream for results; owned by the caller.</param>
/// <param name="handle">Starts a line's work. It is called for one line at a time; the work of several lines runs concurrently.</param>
/// <param name="bytesOf">The memory that a line and its result take until the result is written, if that is more than the line
/// itself.</param>
internal sealed class OrderedLines(Stream input, Stream output, Func<JsonLine, CancellationToken, Task<LineResult>> handle, Func<JsonLine, long>? bytesOf = null)
{
    /// <summary>Max number of lines in progress at once.</summary>
    public const int MaxAhead = 4096;

    // A long line takes several places: 256 MiB at most.
    private const int BytesPerPlace = 64 << 10;

    /// <summary>Runs until the input ends.</summary>
    /// <param name="written">Called after every written line, or null.</param>
    /// <param name="cancellationToken">Cancels the run; written lines stay.</param>
    /// <exception cref="IOException">Input or output failed; everything that could be written was written.</exception>
    public async Task<LineCounts> RunAsync(Action<LineCounts>? written, CancellationToken cancellationToken)
    {
        var places = new SemaphoreSlim(MaxAhead);
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var started = Channel.CreateUnbounded<(Task<LineResult> Result, int Places)>(new() { SingleReader = true, SingleWriter = true });
        _ = Task.Run(() => ReadAsync(started.Writer, places, stop.Token), CancellationToken.None);
        try
        {
            return await WriteAsync(started.Reader, places, written, stop.Token);
        }
        finally
        {
            // Do not wait for the reader: a read from a terminal cannot be cancelled.
            await stop.CancelAsync();
        }
    }

    // Never throws: a failure travels through the channel and surfaces after the last good line.
    private async Task ReadAsync(
        ChannelWriter<(Task<LineResult> Result, int Places)> started,
        SemaphoreSlim places,
        CancellationToken cancellationToken)
    {
        try
        {
            await foreach (var line in JsonLinesReader.ReadAsync(input, cancellationToken: cancellationToken))
            {
                var wanted = (int)Math.Min(MaxAhead, 1 + (bytesOf?.Invoke(line) ?? line.Utf8.Length) / BytesPerPlace);
                for (var i = 0; i < wanted; i++)
                    await places.WaitAsync(cancellationToken);
                started.TryWrite((handle(line, cancellationToken), wanted));
            }

            started.TryComplete();
        }
        catch (Exception failure)
        {
            started.TryComplete(failure);
        }
    }

    private async Task<LineCounts> WriteAsync(
        ChannelReader<(Task<LineResult> Result, int Places)> started,
        SemaphoreSlim places,
        Action<LineCounts>? written,
        CancellationToken cancellationToken)
    {
        var counts = default(LineCounts);
        await foreach (var (task, taken) in started.ReadAllAsync(cancellationToken))
        {
            if (!task.IsCompleted)
                await output.FlushAsync(cancellationToken);
            var result = await task.WaitAsync(cancellationToken);
            await output.WriteAsync(result.Utf8, cancellationToken);
            places.Release(taken);
            counts = new(counts.Lines + 1, counts.Failed + (result.Failed ? 1 : 0), counts.Tokens + result.Tokens);
            written?.Invoke(counts);
            if (!started.TryPeek(out _))
                await output.FlushAsync(cancellationToken);
        }

        return counts;
    }
}
