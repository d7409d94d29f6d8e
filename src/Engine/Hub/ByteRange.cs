namespace LocalLlm.Hub;

/// <summary>
/// A part of a file: bytes from <paramref name="start"/> to before <paramref name="end"/>, of which the first <see cref="Done"/> are on the
/// disk.
/// </summary>
internal sealed class ByteRange(long start, long end, long done)
{
    private long _done = done;

    /// <summary>The first byte.</summary>
    public long Start => start;

    /// <summary>Behind the last byte.</summary>
    public long End => end;

    /// <summary>Bytes that are on the disk.</summary>
    public long Done
    {
        get => Interlocked.Read(ref _done);
        set => Interlocked.Exchange(ref _done, value);
    }

    /// <summary>The next byte that is wanted.</summary>
    public long Next => start + Done;

    /// <summary>Whether nothing is wanted any more.</summary>
    public bool IsComplete => Next == end;
}
