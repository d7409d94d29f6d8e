using static System.Buffers.Binary.BinaryPrimitives;

namespace LocalLlm.Weights;

/// <summary>
/// The end of a zip archive, which locates its central directory. Nothing may follow it (no comment, no trailing bytes), and nothing may
/// stand between it and the directory. A zip64 record must agree with the old one.
/// </summary>
/// <param name="Offset">First byte of the central directory.</param>
/// <param name="Size">Bytes of the central directory.</param>
/// <param name="Count">Entries in the central directory.</param>
internal readonly record struct ZipEnd(long Offset, int Size, int Count)
{
    /// <summary>Max bytes of a directory: 30,000 entries of 100 bytes take 3 MB.</summary>
    public const int MaxDirectoryBytes = 8 << 20;

    /// <summary>Max entries, one per storage.</summary>
    public const int MaxEntries = 30_000;

    private const int EndLength = 22;
    private const int LocatorLength = 20;
    private const int End64Length = 56;

    /// <summary>Finds the end record.</summary>
    /// <exception cref="EngineException">It is missing, or its numbers contradict the file or each other.</exception>
    public static ZipEnd Read(CheckedFile file)
    {
        Span<byte> tail = stackalloc byte[End64Length + LocatorLength + EndLength];
        tail = tail[..(int)Math.Min(tail.Length, file.Length)];
        file.Read(file.Length - tail.Length, tail);
        if (tail.Length < EndLength || ReadUInt32LittleEndian(tail[^EndLength..]) != 0x06054b50)
            throw file.Error("zip: does not end with the end record of a zip archive; it is truncated, or other bytes or a comment follow");
        var end = tail[^EndLength..];
        var isZip64 = tail.Length >= EndLength + LocatorLength && ReadUInt32LittleEndian(tail[^(EndLength + LocatorLength)..]) == 0x07064b50;
        var endsAt = file.Length - (isZip64 ? tail.Length : EndLength);
        var (disks, count, size, offset) = isZip64 ? Read64(file, tail, endsAt) : Read32(end);
        if (disks != 0 || ReadUInt16LittleEndian(end[4..]) != 0 || ReadUInt16LittleEndian(end[6..]) != 0 || ReadUInt16LittleEndian(end[20..]) != 0)
            throw file.Error("zip: is one part of several, or has a comment; one file as torch.save writes it was wanted");
        if (isZip64 && !(Agree(ReadUInt16LittleEndian(end[8..]), count, ushort.MaxValue) && Agree(ReadUInt16LittleEndian(end[10..]), count, ushort.MaxValue)
            && Agree(ReadUInt32LittleEndian(end[12..]), size, uint.MaxValue) && Agree(ReadUInt32LittleEndian(end[16..]), offset, uint.MaxValue)))
            throw file.Error("zip: its two end records contradict each other");
        if (count > MaxEntries || size > MaxDirectoryBytes)
            throw file.Error($"zip: found a directory of {count} entries and {size} bytes, wanted at most {MaxEntries} entries and {MaxDirectoryBytes} bytes");
        // Both numbers are small here, or are compared before they are added.
        if (offset > (ulong)endsAt || size != (ulong)endsAt - offset)
            throw file.Error($"zip: found a directory of {size} bytes at byte {offset}, wanted one that ends at byte {endsAt}");
        return new ZipEnd((long)offset, (int)size, (int)count);
    }

    private static (uint Disks, ulong Count, ulong Size, ulong Offset) Read32(ReadOnlySpan<byte> end) =>
    (
        (uint)(ReadUInt16LittleEndian(end[8..]) - ReadUInt16LittleEndian(end[10..])),
        ReadUInt16LittleEndian(end[10..]),
        ReadUInt32LittleEndian(end[12..]),
        ReadUInt32LittleEndian(end[16..]));

    private static (uint Disks, ulong Count, ulong Size, ulong Offset) Read64(CheckedFile file, ReadOnlySpan<byte> tail, long endsAt)
    {
        var locator = tail[^(EndLength + LocatorLength)..];
        if (tail.Length < End64Length + LocatorLength + EndLength || ReadUInt64LittleEndian(locator[8..]) != (ulong)endsAt
            || ReadUInt32LittleEndian(locator[4..]) != 0 || ReadUInt32LittleEndian(locator[16..]) != 1
            || ReadUInt32LittleEndian(tail) != 0x06064b50 || ReadUInt64LittleEndian(tail[4..]) != End64Length - 12)
            throw file.Error("zip: its zip64 end record is not where the locator says, or is of another size");
        var count = ReadUInt64LittleEndian(tail[32..]);
        var disks = ReadUInt32LittleEndian(tail[16..]) | ReadUInt32LittleEndian(tail[20..]) | (count == ReadUInt64LittleEndian(tail[24..]) ? 0u : 1);
        return (disks, count, ReadUInt64LittleEndian(tail[40..]), ReadUInt64LittleEndian(tail[48..]));
    }

    private static bool Agree(ulong old, ulong value, ulong seeZip64) => old == seeZip64 || old == value;
}
