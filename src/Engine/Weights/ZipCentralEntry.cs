using System.Text;
using System.Text.Unicode;
using static System.Buffers.Binary.BinaryPrimitives;
using static LocalLlm.Weights.ModelFolderProblems;

namespace LocalLlm.Weights;

/// <summary>A zip archive's central directory entry: stored, unencrypted, a plain file with a plain name.</summary>
/// <param name="Name">The name.</param>
/// <param name="NameBytes">Bytes of the name in UTF-8.</param>
/// <param name="Flags">General purpose flags; only UTF-8 and data descriptor are allowed.</param>
/// <param name="Crc">CRC-32 of the content.</param>
/// <param name="Length">Bytes of the content.</param>
/// <param name="Start">Where the local header begins.</param>
internal readonly record struct ZipCentralEntry(string Name, int NameBytes, ushort Flags, uint Crc, ulong Length, ulong Start)
{
    /// <summary>Bytes of a header without its name and extra fields.</summary>
    public const int HeaderLength = 46;

    /// <summary>The flag for sizes that follow the content.</summary>
    public const ushort HasDescriptor = 0x0008;

    private const ushort IsUtf8 = 0x0800;
    private const int MaxNameBytes = 512;
    private const uint SeeZip64 = uint.MaxValue;

    /// <summary>Reads the entry at the start of <paramref name="directory"/> and advances past it.</summary>
    /// <exception cref="EngineException">The entry is of a kind that torch.save does not write, or leaves the directory.</exception>
    public static ZipCentralEntry Read(CheckedFile file, ref ReadOnlySpan<byte> directory)
    {
        if (directory.Length < HeaderLength || ReadUInt32LittleEndian(directory) != 0x02014b50)
            throw file.Error("zip: the directory has fewer entries than its end record says, or is damaged");
        var header = directory[..HeaderLength];
        var (nameBytes, extraBytes, commentBytes) = (ReadUInt16LittleEndian(header[28..]), ReadUInt16LittleEndian(header[30..]), ReadUInt16LittleEndian(header[32..]));
        if (nameBytes + extraBytes > directory.Length - HeaderLength)
            throw file.Error("zip: an entry leaves the directory");
        var name = NameOf(file, directory.Slice(HeaderLength, nameBytes));
        var extra = directory.Slice(HeaderLength + nameBytes, extraBytes);
        directory = directory[(HeaderLength + nameBytes + extraBytes)..];

        var flags = ReadUInt16LittleEndian(header[8..]);
        if (Fault(header, flags, commentBytes) is { } fault)
            throw file.Error($"zip: entry {Quote(name)} {fault}; a stored file as torch.save writes it was wanted");
        var (length, start) = Sizes(file, name, header, extra);
        return new ZipCentralEntry(name, nameBytes, flags, ReadUInt32LittleEndian(header[16..]), length, start);
    }

    private static string? Fault(ReadOnlySpan<byte> header, ushort flags, int commentBytes)
    {
        const uint TypeMask = 0xF000, RegularFile = 0x8000, DosFolder = 0x10;
        var attributes = ReadUInt32LittleEndian(header[38..]);
        if (ReadUInt16LittleEndian(header[10..]) is var method and not 0)
            return $"is compressed (method {method})";
        if ((flags & ~(HasDescriptor | IsUtf8)) != 0)
            return $"has flags 0x{flags:x4}: encrypted, or of a kind that is not read";
        if (commentBytes != 0 || ReadUInt16LittleEndian(header[34..]) != 0)
            return "has a comment, or lies on another disk";
        return (attributes >> 16 & TypeMask) is not (0 or RegularFile) || (attributes & DosFolder) != 0 ? "is a link, a folder or a device" : null;
    }

    private static (ulong Length, ulong Start) Sizes(CheckedFile file, string name, ReadOnlySpan<byte> header, ReadOnlySpan<byte> extra)
    {
        Span<ulong> values = [ReadUInt32LittleEndian(header[24..]), ReadUInt32LittleEndian(header[20..]), ReadUInt32LittleEndian(header[42..])];
        Span<ulong> large = stackalloc ulong[values.Length];
        large = large[..values.Count(SeeZip64)];
        if (!ZipExtra.TryRead64(extra, large))
            throw file.Error($"zip: entry {Quote(name)} has damaged extra fields, or a zip64 field that does not fit its header");
        for (int i = 0, next = 0; i < values.Length; i++)
        {
            if (values[i] == SeeZip64)
                values[i] = large[next++];
        }

        if (values[0] != values[1])
            throw file.Error($"zip: entry {Quote(name)}: found {values[1]} bytes for a stored file of {values[0]}");
        return (values[0], values[2]);
    }

    private static string NameOf(CheckedFile file, ReadOnlySpan<byte> utf8)
    {
        if (utf8.Length > MaxNameBytes || !Utf8.IsValid(utf8))
            throw file.Error($"zip: found a name of {utf8.Length} bytes, wanted UTF-8 of at most {MaxNameBytes}");
        var name = Encoding.UTF8.GetString(utf8);
        if (name.Any(c => char.IsControl(c) || c is '\\' or ':') || name.Split('/').Any(part => part is "" or "." or ".."))
            throw file.Error($"zip: found an entry {Quote(name)}, wanted a plain name inside the archive");
        return name;
    }
}
