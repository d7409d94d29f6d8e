using System.Text;
using static System.Buffers.Binary.BinaryPrimitives;
using static LocalLlm.Weights.ModelFolderProblems;

namespace LocalLlm.Weights;

/// <summary>
/// Reads the files of a zip archive that torch.save has written, and of no other: entries are stored, not compressed; every local header
/// agrees with the central directory; entries cover the archive from its first byte to the directory without overlap or hole; no name
/// occurs twice. <see cref="ZipEnd"/> bounds what is read, whatever the archive says.
/// </summary>
internal static class ZipDirectory
{
    private const int LocalLength = 30;
    private const uint SeeZip64 = uint.MaxValue;

    /// <summary>Reads and checks the directory and all local headers, but no content.</summary>
    /// <exception cref="EngineException">A rule is broken; the message names the entry.</exception>
    public static Dictionary<string, ZipEntry> Read(CheckedFile file)
    {
        var end = ZipEnd.Read(file);
        var bytes = new byte[end.Size];
        file.Read(end.Offset, bytes);
        ReadOnlySpan<byte> directory = bytes;
        var central = new List<ZipCentralEntry>();
        while (central.Count < end.Count)
            central.Add(ZipCentralEntry.Read(file, ref directory));
        if (!directory.IsEmpty)
            throw file.Error($"zip: {directory.Length} bytes follow the last entry of the directory");
        central.Sort((a, b) => a.Start.CompareTo(b.Start));
        if (central.Count > 0 && central[0].Start != 0)
            throw file.Error("zip: other bytes stand before the first entry");

        var entries = new Dictionary<string, ZipEntry>(StringComparer.Ordinal);
        for (var i = 0; i < central.Count; i++)
        {
            var next = i + 1 < central.Count ? central[i + 1].Start : (ulong)end.Offset;
            if (next > (ulong)end.Offset)
                throw file.Error($"zip: entry {Quote(central[i + 1].Name)} begins at byte {next}, behind the directory");
            if (!entries.TryAdd(central[i].Name, Place(file, central[i], (long)next)))
                throw file.Error($"zip: entry {Quote(central[i].Name)} occurs twice, wanted once");
        }

        return entries;
    }

    // Returns the entry's content, after checking that its local header agrees and that the entry fills all bytes up to the next one.
    private static ZipEntry Place(CheckedFile file, ZipCentralEntry entry, long next)
    {
        var start = (long)entry.Start;
        Span<byte> header = stackalloc byte[LocalLength + entry.NameBytes];
        if (next - start < header.Length)
            throw Error("overlaps the next entry");
        file.Read(start, header);
        if (ReadUInt32LittleEndian(header) != 0x04034b50)
            throw Error($"has no local header at byte {start}");
        var extraBytes = ReadUInt16LittleEndian(header[28..]);
        if (ReadUInt16LittleEndian(header[6..]) != entry.Flags || ReadUInt16LittleEndian(header[8..]) != 0
            || ReadUInt16LittleEndian(header[26..]) != entry.NameBytes || Encoding.UTF8.GetString(header[LocalLength..]) != entry.Name)
            throw Error("has another name, method or other flags in its local header");
        var content = start + header.Length + extraBytes;
        if (content > next || entry.Length > (ulong)(next - content))
            throw Error($"has {entry.Length} bytes and overlaps the next entry");

        var hasDescriptor = (entry.Flags & ZipCentralEntry.HasDescriptor) != 0;
        if (!LocalSizesAgree(file, entry, header, start + header.Length, extraBytes, hasDescriptor))
            throw Error("has other sizes or another CRC in its local header");
        var after = content + (long)entry.Length;
        if (hasDescriptor ? !DescriptorAgrees(file, entry, after, next - after) : after != next)
            throw Error("is followed by bytes that belong to no entry, or by sizes that differ from the directory's");
        return new ZipEntry(entry.Name, content, (long)entry.Length, entry.Crc);

        EngineException Error(string problem) => file.Error($"zip: entry {Quote(entry.Name)} {problem}");
    }

    // With a descriptor the header may have 0 everywhere: the sizes follow the content.
    private static bool LocalSizesAgree(CheckedFile file, ZipCentralEntry entry, ReadOnlySpan<byte> header, long extraAt, int extraBytes, bool hasDescriptor)
    {
        var (crc, stored, length) = (ReadUInt32LittleEndian(header[14..]), ReadUInt32LittleEndian(header[18..]), ReadUInt32LittleEndian(header[22..]));
        if (hasDescriptor)
            return (crc == 0 || crc == entry.Crc) && IsZeroOr(stored) && IsZeroOr(length);
        if (crc != entry.Crc)
            return false;
        if (stored != SeeZip64 && length != SeeZip64)
            return stored == entry.Length && length == entry.Length;
        Span<byte> extra = new byte[extraBytes];
        file.Read(extraAt, extra);
        Span<ulong> values = stackalloc ulong[2];
        return stored == length && ZipExtra.TryRead64(extra, values) && values[0] == entry.Length && values[1] == entry.Length;

        bool IsZeroOr(uint value) => value == 0 || value == SeeZip64 || value == entry.Length;
    }

    // Signature, CRC and both sizes, of 32 or 64 bits each.
    private static bool DescriptorAgrees(CheckedFile file, ZipCentralEntry entry, long offset, long length)
    {
        const int Short = 16, Long = 24;
        if (length is not (Short or Long))
            return false;
        Span<byte> descriptor = stackalloc byte[(int)length];
        file.Read(offset, descriptor);
        var (stored, full) = length == Short
            ? (ReadUInt32LittleEndian(descriptor[8..]), ReadUInt32LittleEndian(descriptor[12..]))
            : (ReadUInt64LittleEndian(descriptor[8..]), ReadUInt64LittleEndian(descriptor[16..]));
        return ReadUInt32LittleEndian(descriptor) == 0x08074b50 && ReadUInt32LittleEndian(descriptor[4..]) == entry.Crc && stored == entry.Length && full == entry.Length;
    }
}
