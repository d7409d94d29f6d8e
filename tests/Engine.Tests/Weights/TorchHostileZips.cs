using System.IO.Compression;
using System.Text;
using static LocalLlm.Tests.Weights.TorchSamples;
using static LocalLlm.Tests.Weights.ZipSample;

namespace LocalLlm.Tests.Weights;

/// <summary>Archives with a sound pickle, each with one fault, and words that its error must contain.</summary>
internal static class TorchHostileZips
{
    private const int Second = 2; // the entry of storage 0

    public static IEnumerable<(string Name, string Words, Func<byte[]> File)> All => [.. Formats, .. Ends, .. Centrals, .. Locals, .. Names, .. Contents];

    private static IEnumerable<(string, string, Func<byte[]>)> Formats =>
    [
        ("ONE_BYTE", "does not begin as a zip", () => [1]),
        ("TEXT", "does not begin as a zip", () => "<!DOCTYPE html>"u8.ToArray()),
        ("GIT_LFS_POINTER", "does not begin as a zip", () => "version https://git-lfs.github.com/spec/v1\n"u8.ToArray()),
        ("OLD_TORCH_SAVE", "PyTorch before 1.6", () => [0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, (byte)'.']),
        ("BARE_PICKLE", "PyTorch before 1.6", () => Pickle),
        ("TAR", "PyTorch before 1.6", () => [.. new byte[257], .. "ustar\0"u8, .. new byte[1000]]),
        ("GZIP", "does not begin as a zip", () => [0x1f, 0x8b, 8, .. new byte[100]]),
        ("EMPTY_ZIP", "does not begin as a zip", () => ZipSample.Of([], isZip64: false).Bytes),
        ("JUNK_BEFORE", "does not begin as a zip", () => [.. "#!/bin/sh\n"u8, .. Zip().Bytes]),
        ("JUNK_BEHIND", "does not end", () => [.. Zip().Bytes, 0]),
        ("SECOND_ZIP_BEHIND", "wanted one that ends at", () => [.. Zip(isZip64: false).Bytes, .. Zip(isZip64: false).Bytes]),
        ("COMMENT", "comment follow", () => [.. Zip().Bytes[..^2], .. U16(4), .. "zip!"u8]),
        ("COMMENT_WITH_AN_END_RECORD", "or has a comment", () => [.. Zip().Bytes[..^2], .. U16(22), .. Zip().Bytes[^22..^2], .. U16(9)]),
        ("COMPRESSED_AS_ZIP_DOES", "is compressed (method 8)", Deflated),
        ("ZIP_BOMB", "is compressed (method 8)", Bomb),
    ];

    private static IEnumerable<(string, string, Func<byte[]>)> Ends =>
    [
        End("COMMENT_PROMISED", "or has a comment", z => (z.End + 20, U16(1))),
        End("DISK_1", "one part of several", z => (z.End + 4, U16(1))),
        End("DIRECTORY_ON_DISK_1", "one part of several", z => (z.End + 6, U16(1))),
        End("COUNTS_DIFFER", "contradict", z => (z.End + 8, U16(4))),
        End("COUNT_OTHER_THAN_ZIP64", "contradict", z => (z.End + 10, U16(4))),
        End("SIZE_OTHER_THAN_ZIP64", "contradict", z => (z.End + 12, U32(1))),
        End("OFFSET_OTHER_THAN_ZIP64", "contradict", z => (z.End + 16, U32(0))),
        End("ZIP64_COUNT_LIES", "contradict", z => (z.End64 + 32, [.. U64(7)]), z => (z.End64 + 24, U64(7))),
        End("ZIP64_COUNTS_DIFFER", "one part of several", z => (z.End64 + 24, U64(7))),
        End("ZIP64_COUNT_HUGE", "entries", z => (z.End64 + 24, U64(ulong.MaxValue)), z => (z.End64 + 32, U64(ulong.MaxValue)), z => (z.End + 8, [255, 255, 255, 255])),
        End("ZIP64_SIZE_HUGE", "bytes, wanted at most", z => (z.End64 + 40, U64(1UL << 63)), z => (z.End + 12, U32(uint.MaxValue))),
        End("ZIP64_SIZE_SHORT", "wanted one that ends", z => (z.End64 + 40, U64(46)), z => (z.End + 12, U32(uint.MaxValue))),
        End("ZIP64_OFFSET_HUGE", "wanted one that ends", z => (z.End64 + 48, U64(ulong.MaxValue)), z => (z.End + 16, U32(uint.MaxValue))),
        End("ZIP64_OFFSET_0", "wanted one that ends", z => (z.End64 + 48, U64(0)), z => (z.End + 16, U32(uint.MaxValue))),
        End("ZIP64_RECORD_LONGER", "zip64 end record", z => (z.End64 + 4, U64(45))),
        End("ZIP64_RECORD_GONE", "zip64 end record", z => (z.End64, U32(0))),
        End("ZIP64_DISK_1", "one part of several", z => (z.End64 + 16, U32(1))),
        End("LOCATOR_ELSEWHERE", "zip64 end record", z => (z.Locator + 8, U64(0))),
        End("LOCATOR_BEHIND", "zip64 end record", z => (z.Locator + 8, U64(ulong.MaxValue))),
        End("LOCATOR_OF_2_DISKS", "zip64 end record", z => (z.Locator + 16, U32(2))),
        End("LOCATOR_GONE", "wanted one that ends", z => (z.Locator, U32(0))),
        Old("DIRECTORY_BEYOND_THE_FILE", "wanted one that ends", z => (z.End + 16, U32(0x7fffffff))),
        Old("DIRECTORY_OF_4_GIB", "wanted at most", z => (z.End + 12, U32(uint.MaxValue))),
        Old("DIRECTORY_ONE_BYTE_EARLY", "wanted one that ends", z => (z.End + 16, U32(z.Centrals[0] - 1))),
        Old("COUNT_65535", "entries", z => (z.End + 8, [255, 255, 255, 255])),
        Old("COUNT_ONE_MORE", "fewer entries", z => (z.End + 8, [6, 0, 6, 0])),
        Old("COUNT_ONE_LESS", "follow the last entry", z => (z.End + 8, [4, 0, 4, 0])),
        Old("COUNT_0", "follow the last entry", z => (z.End + 8, [0, 0, 0, 0])),
    ];

    private static IEnumerable<(string, string, Func<byte[]>)> Centrals =>
    [
        Central("CENTRAL_SIGNATURE", "fewer entries", 0, U32(0x04034b50)),
        Central("COMPRESSED", "is compressed (method 8)", 10, U16(8)),
        Central("COMPRESSED_BZIP2", "is compressed (method 12)", 10, U16(12)),
        Central("AES", "is compressed (method 99)", 10, U16(99)),
        Central("ENCRYPTED", "encrypted", 8, U16(0x0809)),
        Central("STRONGLY_ENCRYPTED", "encrypted", 8, U16(0x0848)),
        Central("MASKED", "encrypted", 8, U16(0x2808)),
        Central("PATCHED", "encrypted", 8, U16(0x0828)),
        Central("LINK", "is a link", 38, U32(0xA1FF0000)),
        Central("FOLDER", "is a link, a folder", 38, U32(0x10)),
        Central("UNIX_FOLDER", "is a link, a folder", 38, U32(0x41ED0000)),
        Central("DEVICE", "is a link, a folder", 38, U32(0x21FF0000)),
        Central("ENTRY_COMMENT", "has a comment", 32, U16(1)),
        Central("ENTRY_ON_DISK_1", "another disk", 34, U16(1)),
        Central("NAME_LEAVES_THE_DIRECTORY", "leaves the directory", 28, U16(65535)),
        Central("EXTRA_LEAVES_THE_DIRECTORY", "leaves the directory", 30, U16(65535)),
        Central("STORED_SIZE_DIFFERS", "found 25 bytes for a stored file of 24", 20, U32(25)),
        Central("SIZE_DIFFERS", "found 24 bytes for a stored file of 25", 24, U32(25)),
        Central("BOTH_SIZES_TOO_LARGE", "overlaps the next", 20, [.. U32(100), .. U32(100)]),
        Central("BOTH_SIZES_TOO_SMALL", "belong to no entry", 20, [.. U32(8), .. U32(8)]),
        Central("SIZES_HUGE", "overlaps the next", 20, [.. U32(0xfffffffe), .. U32(0xfffffffe)]),
        Central("SIZES_SEE_ZIP64", "zip64 field that does not fit", 20, [.. U32(uint.MaxValue), .. U32(uint.MaxValue)]),
        Central("OFFSET_SEES_ZIP64", "zip64 field that does not fit", 42, U32(uint.MaxValue)),
        Central("OFFSET_OF_THE_FIRST", "overlaps the next", 42, U32(0)),
        Central("OFFSET_FAR", "belong to no entry", 42, U32(0x7fffffff)),
        ("OFFSET_BEHIND", "behind the directory", () => Zip() is var z ? z.With((z.Centrals[^1] + 42, U32(z.Centrals[0] + 1))) : []),
        Central("OFFSET_OF_THE_NEXT", "belong to no entry", 42, U32(Zip().Locals[Second + 1])),
        Central("OFFSET_ONE_MORE", "belong to no entry", 42, U32(Zip().Locals[Second] + 1)),
        Central("CENTRAL_CRC", "sizes that differ", 16, U32(1)),
        ("NO_ENTRY_AT_0", "other bytes stand before", () => Zip() is var z ? z.With((z.Centrals[0] + 42, U32(1))) : []),
        ("NEEDLESS_ZIP64_FIELD", "zip64 field that does not fit", () => WithExtra([1, 0, 8, 0, .. U64(0)], [])),
        ("ZIP64_FIELD_TOO_LONG", "zip64 field that does not fit", () => WithExtra([1, 0, 24, 0, .. U64(24), .. U64(24), .. U64(0)], SeeZip64)),
        ("ZIP64_FIELD_TOO_SHORT", "zip64 field that does not fit", () => WithExtra([1, 0, 8, 0, .. U64(24)], SeeZip64)),
        ("ZIP64_FIELD_TWICE", "zip64 field that does not fit", () => WithExtra([1, 0, 16, 0, .. U64(24), .. U64(24), 1, 0, 16, 0, .. U64(24), .. U64(24)], SeeZip64)),
        ("ZIP64_SIZE_LIES", "overlaps the next", () => WithExtra([1, 0, 16, 0, .. U64(1UL << 63), .. U64(1UL << 63)], SeeZip64)),
        ("ZIP64_SIZES_DIFFER", "for a stored file", () => WithExtra([1, 0, 16, 0, .. U64(24), .. U64(25)], SeeZip64)),
        ("EXTRA_FIELD_CUT", "damaged extra fields", () => WithExtra([1, 0, 9], [])),
        ("EXTRA_FIELD_LEAVES", "damaged extra fields", () => WithExtra([7, 7, 9, 0, 1], [])),
    ];

    private static byte[] SeeZip64 => [.. U32(uint.MaxValue), .. U32(uint.MaxValue)];

    private static IEnumerable<(string, string, Func<byte[]>)> Locals =>
    [
        Local("LOCAL_SIGNATURE", "no local header", 0, U32(0x02014b50)),
        Local("LOCAL_FLAGS", "other flags", 6, U16(0x0809)),
        Local("LOCAL_METHOD", "another name, method", 8, U16(8)),
        Local("LOCAL_CRC", "another CRC", 14, U32(1)),
        Local("LOCAL_STORED_SIZE", "other sizes", 18, U32(23)),
        Local("LOCAL_SIZE", "other sizes", 22, U32(23)),
        Local("LOCAL_NAME_LENGTH", "another name", 26, U16(10)),
        Local("LOCAL_NAME", "another name", 30, "pytorch_model/data/9"u8.ToArray()),
        Local("LOCAL_EXTRA_LONGER", "overlaps the next", 28, U16(65535)),
        Local("LOCAL_EXTRA_SHORTER", "belong to no entry", 28, U16(0)),
        ("DESCRIPTOR_SIGNATURE", "sizes that differ", () => AtDescriptor(0, [0])),
        ("DESCRIPTOR_CRC", "sizes that differ", () => AtDescriptor(4, [1, 2, 3, 4])),
        ("DESCRIPTOR_STORED_SIZE", "sizes that differ", () => AtDescriptor(8, U32(23))),
        ("DESCRIPTOR_SIZE", "sizes that differ", () => AtDescriptor(12, U32(23))),
        ("PYTHON_LOCAL_SIZE", "other sizes", () => Zip(hasDescriptors: false) is var z ? z.With((z.Locals[Second] + 18, U32(23))) : []),
        ("PYTHON_LOCAL_CRC", "another CRC", () => Zip(hasDescriptors: false) is var z ? z.With((z.Locals[Second] + 14, U32(23))) : []),
        ("PYTHON_LOCAL_SEES_ZIP64", "other sizes", () => Zip(hasDescriptors: false) is var z ? z.With((z.Locals[Second] + 18, SeeZip64)) : []),
    ];

    private static IEnumerable<(string, string, Func<byte[]>)> Names =>
    [
        .. new[] { "../evil", "pytorch_model/../../evil", "/etc/passwd", "pytorch_model//x", "pytorch_model/./x", "pytorch_model\\x", "C:x", "pytorch_model/x/", "pytorch_model/a\nb", "" }
            .Select(name => ($"NAME {name.Replace("\n", "LF", StringComparison.Ordinal)}", "wanted a plain name", (Func<byte[]>)(() => Zip(more: (name, [1])).Bytes))),
        ("NAME_OF_513_BYTES", "a name of 513 bytes", () => Zip(more: (new string('x', 513), [1])).Bytes),
        ("NAME_NOT_UTF8", "wanted UTF-8", () => Zip() is var z ? z.With((z.Centrals[4] + 46, [0xff])) : []),
        ("STORAGE_TWICE", "occurs twice", () => Zip(more: ($"{Root}/data/0", Storages[0])).Bytes),
        ("PICKLE_TWICE", "occurs twice", () => Zip(more: ($"{Root}/data.pkl", Pickle)).Bytes),
        ("SECOND_ROOT", "2 entries named data.pkl", () => Zip(more: ("other/data.pkl", Pickle)).Bytes),
        ("ENTRY_OUTSIDE_ROOT", "outside the archive's folder", () => Zip(more: ("other/x", [1])).Bytes),
        ("NO_PICKLE", "0 entries named data.pkl", () => ZipSample.Of(Entries(Pickle)[1..]).Bytes),
        ("PICKLE_WITHOUT_FOLDER", "0 entries named data.pkl", () => ZipSample.Of([("data.pkl", Pickle), .. Entries(Pickle)[1..]]).Bytes),
        ("TORCHSCRIPT", "TorchScript", () => Zip(more: ($"{Root}/constants.pkl", [1])).Bytes),
    ];

    private static IEnumerable<(string, string, Func<byte[]>)> Contents =>
    [
        ("BIG_ENDIAN", "byteorder", () => ZipSample.Of([Entries(Pickle)[0], ($"{Root}/byteorder", "big"u8.ToArray()), .. Entries(Pickle)[2..]]).Bytes),
        ("BYTEORDER_EMPTY", "byteorder", () => ZipSample.Of([Entries(Pickle)[0], ($"{Root}/byteorder", []), .. Entries(Pickle)[2..]]).Bytes),
        ("BYTEORDER_LONG", "wanted at most 16", () => ZipSample.Of([Entries(Pickle)[0], ($"{Root}/byteorder", new byte[1000]), .. Entries(Pickle)[2..]]).Bytes),
        ("STORAGE_MISSING", "storage 1 is not in the archive", () => ZipSample.Of([.. Entries(Pickle)[..3], Entries(Pickle)[4]]).Bytes),
        ("STORAGE_SHORT", "but 23 bytes", () => ZipSample.Of([.. Entries(Pickle)[..2], ($"{Root}/data/0", Storages[0][1..]), .. Entries(Pickle)[3..]]).Bytes),
        ("STORAGE_LONG", "but 25 bytes", () => ZipSample.Of([.. Entries(Pickle)[..2], ($"{Root}/data/0", [.. Storages[0], 0]), .. Entries(Pickle)[3..]]).Bytes),
        ("STORAGE_EMPTY", "but 0 bytes", () => ZipSample.Of([.. Entries(Pickle)[..2], ($"{Root}/data/0", []), .. Entries(Pickle)[3..]]).Bytes),
        ("PICKLE_CRC", "CRC", () => Zip() is var z ? z.With((z.Locals[0] + 30 + 22 + 11 + 40, [0xee])) : []),
        ("MANY_ENTRIES", "wanted at most 30000 entries", () => Zip(more: [.. Enumerable.Range(2, 30_000).Select(i => ($"{Root}/data/{i}", Array.Empty<byte>()))]).Bytes),
    ];

    private static (string, string, Func<byte[]>) End(string name, string words, params Func<ZipSample, (int, byte[])>[] changes) => (name, words, () => Change(Zip(), changes));

    private static (string, string, Func<byte[]>) Old(string name, string words, params Func<ZipSample, (int, byte[])>[] changes) => (name, words, () => Change(Zip(isZip64: false), changes));

    private static (string, string, Func<byte[]>) Central(string name, string words, int at, byte[] value) => (name, words, () => Change(Zip(), z => (z.Centrals[Second] + at, value)));

    private static (string, string, Func<byte[]>) Local(string name, string words, int at, byte[] value) => (name, words, () => Change(Zip(), z => (z.Locals[Second] + at, value)));

    private static byte[] Change(ZipSample zip, params Func<ZipSample, (int, byte[])>[] changes) => zip.With([.. changes.Select(change => change(zip))]);

    private static byte[] AtDescriptor(int at, byte[] value) => Change(Zip(), z => (z.Locals[Second + 1] - 16 + at, value));

    // Gives the last entry of the directory an extra field, and other sizes.
    private static byte[] WithExtra(byte[] extra, byte[] sizes)
    {
        var zip = Zip(isZip64: false);
        var last = zip.Centrals[^1];
        var bytes = zip.With((last + 30, U16(extra.Length)), (last + 20, sizes), (zip.End + 12, U32(zip.End - zip.Centrals[0] + extra.Length)));
        return [.. bytes[..zip.End], .. extra, .. bytes[zip.End..]];
    }

    private static byte[] Deflated() => Made(Entries(Pickle));

    private static byte[] Bomb() => Made([.. Entries(Pickle)[..2], ($"{Root}/data/0", new byte[64 << 20]), .. Entries(Pickle)[3..]]);

    private static byte[] Made((string Name, byte[] Content)[] entries)
    {
        using var stream = new MemoryStream();
        using (var zip = new ZipArchive(stream, ZipArchiveMode.Create, leaveOpen: true, Encoding.UTF8))
        {
            foreach (var (name, content) in entries)
            {
                using var entry = zip.CreateEntry(name, CompressionLevel.SmallestSize).Open();
                entry.Write(content);
            }
        }

        return stream.ToArray();
    }
}
