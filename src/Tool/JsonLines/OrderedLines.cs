using System.Threading.Channels;

namespace LocalLlm.Tool.JsonLines;

/// <summary>
/// Runs many lines at once and writes their results in the order of the lines, each as soon as all before it are written.
/// Reads ahead a bounded number of lines and bytes only, however long the file is.
/// </summary>
/// <param name="input">The lines; owned by the caller.</param>
/// <param name="output">Where results go; owned by the caller.</param>
/// <param name="handle">Starts a line's work. Called for one line after the other; the work itself runs at once with others.</param>
/// <param name="bytesOf">The memory that a line and its result take until it is written, where that is more than the line.</param>
internal sealed class OrderedLines(Stream input, Stream output, Func<JsonLine, CancellationToken, Task<LineResult>> handle, Func<JsonLine, long>? bytesOf = null)
{
    /// <summary>Lines that may be at work at once.</summary>
    public const int MaxAhead = 4096;

    // A long line takes several places: 256 MiB at most.
    private const int BytesPerPlace = 64 << 10;

    /// <summary>Runs until the input ends.</summary>
    /// <param name="written">Told after every written line, or null.</param>
    /// <param name="cancellationToken">Gives up; what is written stays.</param>
    /// <exception cref="IOException">Input or output failed; what could be written is.</exception>
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
            // The reader is not waited for: a read of a terminal cannot be cancelled.
            await stop.CancelAsync();
        }
    }

    // Never throws: a failure travels through the channel and surfaces behind the last good line.
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
