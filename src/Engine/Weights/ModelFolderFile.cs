using System.Globalization;
using System.Text.Json;
using System.Text.Unicode;

namespace LocalLlm.Weights;

/// <summary>Reads the small files of a model folder: never more than a limit, never a pipe or a device, UTF-8 checked.</summary>
internal static class ModelFolderFile
{
    /// <summary>
    /// The bytes of a JSON text file: not empty, at most <paramref name="maxBytes"/>, valid UTF-8 without a byte order mark.
    /// Symbolic links are followed, as Hugging Face's cache is made of them.
    /// </summary>
    /// <exception cref="EngineException">The file is missing, unreadable, empty, too large, or not UTF-8.</exception>
    public static byte[] ReadJson(string folder, string file, int maxBytes)
    {
        var bytes = ReadBytes(Path.Combine(folder, file), file, maxBytes, "a JSON object");
        CheckText(file, bytes);
        return bytes;
    }

    /// <summary>Refuses bytes that are not plain UTF-8 text.</summary>
    public static void CheckText(string file, ReadOnlySpan<byte> utf8)
    {
        if (utf8.IsEmpty)
            throw EngineException.ModelFolder(file, "is empty; a JSON object was wanted");
        if (utf8.StartsWith("\uFEFF"u8))
            throw EngineException.ModelFolder(file, "begins with a byte order mark; save it as UTF-8 without one");
        if (!Utf8.IsValid(utf8))
            throw EngineException.ModelFolder(file, "is not valid UTF-8; a JSON object in UTF-8 was wanted");
    }

    /// <summary>Parses a whole file that must be one JSON object without duplicate names, comments or trailing commas.</summary>
    /// <exception cref="EngineException">It is not.</exception>
    public static JsonDocument ParseObject(string file, ReadOnlyMemory<byte> utf8)
    {
        CheckText(file, utf8.Span);
        JsonDocument? document = null;
        try
        {
            document = JsonDocument.Parse(utf8, new JsonDocumentOptions { MaxDepth = 64, AllowDuplicateProperties = false });
            if (document.RootElement.ValueKind != JsonValueKind.Object)
            {
                throw EngineException.ModelFolder(
                    file, $"found JSON {document.RootElement.ValueKind} at the top; an object was wanted");
            }

            return document;
        }
        catch (Exception e)
        {
            document?.Dispose();
            // InvalidOperationException: an escaped lone surrogate in a name cannot become text.
            if (e is JsonException or InvalidOperationException)
                throw EngineException.ModelFolder(file, "is not valid JSON: " + e.Message, e);
            throw;
        }
    }

    /// <summary>The size of a regular file behind <paramref name="path"/>, links followed; null where there is none.</summary>
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

    /// <summary>The bytes of a regular file, links followed.</summary>
    /// <param name="path">Where it is.</param>
    /// <param name="file">Its name for messages.</param>
    /// <param name="maxBytes">More are refused.</param>
    /// <param name="wanted">What should be in it, for the message of an empty one.</param>
    /// <exception cref="EngineException">The file is missing, no regular file, empty, unreadable or too large.</exception>
    public static byte[] ReadBytes(string path, string file, int maxBytes, string wanted)
    {
        // Pipes and devices report length 0: they are refused before an open that could block or never end.
        var length = Length(path) ?? throw EngineException.ModelFolder(file, "is missing from the model folder, or is not a file");
        if (length == 0)
            throw EngineException.ModelFolder(file, $"is empty; {wanted} was wanted");
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
            throw EngineException.ModelFolder(file, "cannot be read: " + e.Message, e);
        }
    }

    private static EngineException TooLarge(string file, long length, int maxBytes) =>
        EngineException.ModelFolder(
            file, string.Create(CultureInfo.InvariantCulture, $"has {length:N0} bytes; at most {maxBytes:N0} were wanted"));
}
