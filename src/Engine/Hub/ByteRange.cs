namespace LocalLlm.Hub;

/// <summary>
/// A part of a file: the bytes from <paramref name="start"/> up to, not including, <paramref name="end"/>. The first <see cref="Done"/> of
/// them are on the disk.
/// </summary>
internal sealed class ByteRange(long start, long end, long done)
{
    private long _done = done;

    /// <summary>The first byte.</summary>
    public long Start => start;

    /// <summary>The position after the last byte.</summary>
    public long End => end;

    /// <summary>Number of bytes on the disk.</summary>
    public long Done
    {
        get => Interlocked.Read(ref _done);
        set => Interlocked.Exchange(ref _done, value);
    }

    /// <summary>The next byte to fetch.</summary>
    public long Next => start + Done;

    /// <summary>Whether all bytes are on the disk.</summary>
    public bool IsComplete => Next == end;
}
