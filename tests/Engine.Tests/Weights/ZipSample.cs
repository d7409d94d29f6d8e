using System.Text;
using LocalLlm.Weights;

namespace LocalLlm.Tests.Weights;

/// <summary>A zip archive as torch.save writes it, every byte of which can be changed afterwards.</summary>
internal sealed class ZipSample
{
    private readonly List<byte> _bytes = [];

    /// <summary>Where the local headers, the entries of the directory and the end records begin.</summary>
    public List<int> Locals { get; } = [];

    public List<int> Centrals { get; } = [];

    public int End64 { get; private set; } = -1;

    public int Locator => End64 + 56;

    public int End { get; private set; }

    public byte[] Bytes { get; private set; } = [];

    /// <summary>Writes an archive.</summary>
    /// <param name="entries">Names and contents.</param>
    /// <param name="hasDescriptors">Whether sizes follow the contents, as torch writes them; else the local headers hold them.</param>
    /// <param name="isZip64">Whether the archive has zip64 end records.</param>
    /// <param name="padding">Bytes of an extra field in each local header.</param>
    public static ZipSample Of((string Name, byte[] Content)[] entries, bool hasDescriptors = true, bool isZip64 = true, int padding = 7)
    {
        var zip = new ZipSample();
        foreach (var (name, content) in entries)
            zip.AddLocal(Encoding.UTF8.GetBytes(name), content, hasDescriptors, padding);
        var directory = zip._bytes.Count;
        for (var i = 0; i < entries.Length; i++)
            zip.AddCentral(Encoding.UTF8.GetBytes(entries[i].Name), entries[i].Content, hasDescriptors, zip.Locals[i]);
        zip.AddEnd(entries.Length, directory, isZip64);
        zip.Bytes = [.. zip._bytes];
        return zip;
    }

    /// <summary>The archive with some bytes overwritten.</summary>
    public byte[] With(params (int At, byte[] Value)[] changes)
    {
        byte[] bytes = [.. Bytes];
        foreach (var (at, value) in changes)
            value.CopyTo(bytes, at);
        return bytes;
    }

    public static byte[] U16(int value) => BitConverter.GetBytes((ushort)value);

    public static byte[] U32(long value) => BitConverter.GetBytes((uint)value);

    public static byte[] U64(ulong value) => BitConverter.GetBytes(value);

    private void AddLocal(byte[] name, byte[] content, bool hasDescriptor, int padding)
    {
        Locals.Add(_bytes.Count);
        var sizes = hasDescriptor ? new byte[12] : [.. U32(Crc32.Of(content)), .. U32(content.Length), .. U32(content.Length)];
        byte[] extra = padding == 0 ? [] : [(byte)'F', (byte)'B', .. U16(padding), .. Enumerable.Repeat((byte)'Z', padding)];
        Add([0x50, 0x4b, 3, 4, 0, 0], U16(hasDescriptor ? 0x0808 : 0x0800), U16(0), U32(0), sizes, U16(name.Length), U16(extra.Length), name, extra, content);
        if (hasDescriptor)
            Add([0x50, 0x4b, 7, 8], U32(Crc32.Of(content)), U32(content.Length), U32(content.Length));
    }

    private void AddCentral(byte[] name, byte[] content, bool hasDescriptor, int local)
    {
        Centrals.Add(_bytes.Count);
        Add([0x50, 0x4b, 1, 2, 0, 0, 0, 0], U16(hasDescriptor ? 0x0808 : 0x0800), U16(0), U32(0), U32(Crc32.Of(content)), U32(content.Length), U32(content.Length),
            U16(name.Length), U16(0), U16(0), U16(0), U16(0), U32(0), U32(local), name);
    }

    private void AddEnd(int count, int directory, bool isZip64)
    {
        var size = _bytes.Count - directory;
        if (isZip64)
        {
            End64 = _bytes.Count;
            Add([0x50, 0x4b, 6, 6], U64(44), U16(0x1e), U16(0x2d), U32(0), U32(0), U64((ulong)count), U64((ulong)count), U64((ulong)size), U64((ulong)directory));
            Add([0x50, 0x4b, 6, 7], U32(0), U64((ulong)End64), U32(1));
        }

        End = _bytes.Count;
        Add([0x50, 0x4b, 5, 6], U16(0), U16(0), U16(count), U16(count), U32(size), U32(directory), U16(0));
    }

    private void Add(params byte[][] parts)
    {
        foreach (var part in parts)
            _bytes.AddRange(part);
    }
}
