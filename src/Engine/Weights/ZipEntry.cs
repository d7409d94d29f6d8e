namespace LocalLlm.Weights;

/// <summary>A stored (uncompressed) file of a zip archive.</summary>
/// <param name="Name">Its name: parts without <c>..</c>, joined by <c>/</c>.</param>
/// <param name="Offset">First byte of its content in the archive.</param>
/// <param name="Length">Bytes of its content.</param>
/// <param name="Crc">The archive's CRC-32 of its content; not checked here.</param>
internal sealed record ZipEntry(string Name, long Offset, long Length, uint Crc);
