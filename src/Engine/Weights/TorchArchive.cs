using static LocalLlm.Weights.ModelFolderProblems;

namespace LocalLlm.Weights;

/// <summary>
/// The archive of torch.save since PyTorch 1.6: a zip of <c>name/data.pkl</c> and a stored file <c>name/data/key</c> for each storage.
/// </summary>
internal sealed class TorchArchive
{
    /// <summary>What the user can do about a file that cannot be read.</summary>
    public const string Remedy = "Save the state dict with torch.save of PyTorch 1.6 or newer, or convert it to safetensors";

    // Enough for 25,000 tensors of 300 bytes each.
    private const int MaxPickleBytes = 8 << 20;
    private const string PickleName = "/data.pkl";

    private readonly CheckedFile _file;
    private readonly Dictionary<string, ZipEntry> _entries;
    private readonly string _root;

    private TorchArchive(CheckedFile file, Dictionary<string, ZipEntry> entries, string root)
    {
        _file = file;
        _entries = entries;
        _root = root;
    }

    /// <summary>Checks the archive's form; of its content it reads only the byte order.</summary>
    /// <exception cref="EngineException">The file is of an older format, not an archive, a TorchScript program, or big-endian.</exception>
    public static TorchArchive Open(CheckedFile file)
    {
        RefuseOldFormats(file);
        var entries = ZipDirectory.Read(file);
        var pickles = entries.Keys.Where(name => name.EndsWith(PickleName, StringComparison.Ordinal) && name.IndexOf('/', StringComparison.Ordinal) == name.Length - PickleName.Length).ToList();
        if (pickles.Count != 1)
            throw file.Error($"found {pickles.Count} entries named data.pkl, wanted one in the archive's one folder. {Remedy}");
        var root = pickles[0][..^PickleName.Length];
        if (entries.Keys.FirstOrDefault(name => !name.StartsWith(root + "/", StringComparison.Ordinal)) is { } stranger)
            throw file.Error($"found entry {Quote(stranger)} outside the archive's folder {Quote(root)}");
        var archive = new TorchArchive(file, entries, root);
        if (entries.ContainsKey(root + "/constants.pkl"))
            throw file.Error($"is a TorchScript program, which is not run. {Remedy}");
        archive.CheckByteOrder();
        return archive;
    }

    /// <summary>The pickle of the state dict.</summary>
    /// <exception cref="EngineException">It is too large or damaged.</exception>
    public byte[] ReadPickle() => ReadWhole(_entries[_root + PickleName], MaxPickleBytes);

    /// <summary>The entry of a storage; null: the archive has none.</summary>
    public ZipEntry? Storage(string key) => _entries.GetValueOrDefault($"{_root}/data/{key}");

    // Written since PyTorch 2.1; earlier files were little-endian except on rare machines.
    private void CheckByteOrder()
    {
        const int MaxLength = 16;
        if (_entries.TryGetValue(_root + "/byteorder", out var entry) && !ReadWhole(entry, MaxLength).AsSpan().SequenceEqual("little"u8))
            throw _file.Error("byteorder: found another than little; save the file on a little-endian machine");
    }

    // Also checks the CRC, which torch.save writes by default, because these bytes are few. Storages are not read twice for it.
    private byte[] ReadWhole(ZipEntry entry, int maxBytes)
    {
        if (entry.Length > maxBytes)
            throw _file.Error($"entry {Quote(entry.Name)}: found {entry.Length} bytes, wanted at most {maxBytes}");
        var bytes = new byte[entry.Length];
        _file.Read(entry.Offset, bytes);
        var crc = Crc32.Of(bytes);
        return crc == entry.Crc ? bytes : throw _file.Error($"entry {Quote(entry.Name)}: found CRC {crc:x8}, wanted {entry.Crc:x8}: the file is damaged; copy it again");
    }

    private static void RefuseOldFormats(CheckedFile file)
    {
        const int TarMagicAt = 257;
        Span<byte> start = stackalloc byte[TarMagicAt + 5];
        start = start[..(int)Math.Min(start.Length, file.Length)];
        file.Read(0, start);
        if (start.StartsWith("PK\x03\x04"u8))
            return;
        // The old format begins with the pickle of the number 0x1950a86a20f9469cfc6c, other pickles with the protocol alone.
        var isOld = start.StartsWith((ReadOnlySpan<byte>)[0x80]) || (start.Length > TarMagicAt && start[TarMagicAt..].StartsWith("ustar"u8));
        throw file.Error(isOld
            ? $"is a bare pickle or a tar archive, as PyTorch before 1.6 wrote them; it was not loaded. {Remedy}"
            : $"does not begin as a zip archive. {Remedy}");
    }
}
