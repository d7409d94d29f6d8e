using System.Globalization;

namespace LocalLlm.Primitives;

/// <summary>Reads small untrusted files: never more than a limit, never a pipe or a device.</summary>
public static class UntrustedFile
{
    /// <summary>The size of the regular file at <paramref name="path"/>, following links; null if there is none.</summary>
    /// <param name="path">Where it is.</param>
    public static long? Length(string path)
    {
        try
        {
            var info = new FileInfo(path);
            if (info.LinkTarget is not null)
                info = info.ResolveLinkTarget(returnFinalTarget: true) as FileInfo;
            return info is { Exists: true } ? info.Length : null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    /// <summary>The bytes of a regular file, following links.</summary>
    /// <param name="path">Where it is.</param>
    /// <param name="file">The file's name, for messages.</param>
    /// <param name="maxBytes">Maximum size; larger files are refused.</param>
    /// <param name="wanted">What the file should hold, for the error about an empty file.</param>
    /// <exception cref="UntrustedFileException">The file is missing, not a regular file, empty, unreadable or too large.</exception>
    public static byte[] ReadBytes(string path, string file, int maxBytes, string wanted)
    {
        ArgumentNullException.ThrowIfNull(file);
        // Pipes and devices report length 0: they are refused before an open that could block or never end.
        var length = Length(path) ?? throw new UntrustedFileException(file, "is missing from the model folder, or is not a file");
        if (length == 0)
            throw new UntrustedFileException(file, $"is empty; {wanted} was wanted");
        if (length > maxBytes)
            throw TooLarge(file, length, maxBytes);
        try
        {
            using var handle = File.OpenHandle(path);
            var bytes = new byte[length];
            var read = 0;
            while (read < bytes.Length)
            {
                var count = RandomAccess.Read(handle, bytes.AsSpan(read), read);
                if (count == 0)
                    break;
                read += count;
            }

            return read == bytes.Length ? bytes : bytes[..read];
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UntrustedFileException(file, "cannot be read: " + e.Message, e);
        }
    }

    private static UntrustedFileException TooLarge(string file, long length, int maxBytes) =>
        new(
            file, string.Create(CultureInfo.InvariantCulture, $"has {length:N0} bytes; at most {maxBytes:N0} were wanted"));
}
