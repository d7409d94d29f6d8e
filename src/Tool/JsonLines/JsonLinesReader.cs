using System.Runtime.CompilerServices;

namespace LocalLlm.Tool.JsonLines;

/// <summary>
/// Splits a stream into lines at line feeds. It drops a byte order mark at the start and blank lines at the end. A blank line
/// before another line counts, so line i of the output belongs to line i of the input.
/// </summary>
internal static class JsonLinesReader
{
    /// <summary>The reader skips a longer line and reports it.</summary>
    public const int MaxLineBytes = 256 << 20;

    private const int InitialBuffer = 64 << 10;
    private static ReadOnlySpan<byte> ByteOrderMark => [0xEF, 0xBB, 0xBF];

    /// <summary>Reads every line into memory of its own.</summary>
    public static async IAsyncEnumerable<JsonLine> ReadAsync(
        Stream input,
        int maxLineBytes = MaxLineBytes,
        [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        var number = 0L;
        var blanks = new Queue<JsonLine>();
        await foreach (var (bytes, problem) in SplitAsync(input, maxLineBytes, cancellationToken))
        {
            number++;
            var line = new JsonLine(
                number,
                number == 1 && bytes.AsSpan().StartsWith(ByteOrderMark) ? bytes.AsMemory(ByteOrderMark.Length) : bytes,
                problem);
            if (problem is null && IsBlank(line.Utf8.Span))
            {
                blanks.Enqueue(line);
                continue;
            }

            while (blanks.TryDequeue(out var blank))
                yield return blank;
            yield return line;
        }
    }

    private static bool IsBlank(ReadOnlySpan<byte> line) => line.IndexOfAnyExcept(" \t\r"u8) < 0;

    private static async IAsyncEnumerable<(byte[] Bytes, string? Problem)> SplitAsync(
        Stream input,
        int maxLineBytes,
        [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        var buffer = new byte[Math.Min(InitialBuffer, maxLineBytes)];
        var (start, scanned, end) = (0, 0, 0);
        var tooLong = false;
        while (true)
        {
            var found = buffer.AsSpan(scanned, end - scanned).IndexOf((byte)'\n');
            if (found >= 0)
            {
                yield return Cut(scanned + found);
                start = scanned = scanned + found + 1;
                continue;
            }

            scanned = end;
            EnsureRoom();
            var read = await input.ReadAsync(buffer.AsMemory(end), cancellationToken);
            end += read;
            if (read > 0)
                continue;
            if (end > start || tooLong)
                yield return Cut(end);
            yield break;
        }

        // The line from start up to here; only the last part of a line that was too long is left.
        (byte[] Bytes, string? Problem) Cut(int at)
        {
            var line = tooLong ? ([], $"is longer than {maxLineBytes} bytes") : (buffer.AsSpan(start, at - start).ToArray(), (string?)null);
            tooLong = false;
            return line;
        }

        void EnsureRoom()
        {
            if (end < buffer.Length)
                return;
            if (start == 0 && buffer.Length >= maxLineBytes)
            {
                tooLong = true;
                scanned = end = 0;
            }
            else if (start == 0)
            {
                Array.Resize(ref buffer, (int)Math.Min(2L * buffer.Length, maxLineBytes));
            }
            else
            {
                buffer.AsSpan(start, end - start).CopyTo(buffer);
                (start, scanned, end) = (0, scanned - start, end - start);
            }
        }
    }
}
