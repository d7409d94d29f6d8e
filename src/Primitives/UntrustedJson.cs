using System.Text.Json;
using System.Text.Unicode;

namespace LocalLlm.Primitives;

/// <summary>
/// Reads whole untrusted JSON files: strict UTF-8, one object, no duplicate names. <see cref="JsonSections"/> reads large files.
/// </summary>
public static class UntrustedJson
{
    private const int MaxDepth = 64;

    /// <summary>
    /// The bytes of a JSON text file: not empty, at most <paramref name="maxBytes"/>, valid UTF-8 without a byte order mark. Follows
    /// symbolic links, because Hugging Face's cache consists of them.
    /// </summary>
    /// <param name="folder">The folder.</param>
    /// <param name="file">The file's name in the folder.</param>
    /// <param name="maxBytes">Maximum size; larger files are refused.</param>
    /// <exception cref="UntrustedFileException">The file is missing, unreadable, empty, too large, or not UTF-8.</exception>
    public static byte[] ReadBytes(string folder, string file, int maxBytes)
    {
        ArgumentNullException.ThrowIfNull(folder);
        ArgumentNullException.ThrowIfNull(file);
        var bytes = UntrustedFile.ReadBytes(Path.Combine(folder, file), file, maxBytes, "a JSON object");
        CheckText(file, bytes);
        return bytes;
    }

    /// <summary>Refuses bytes that are not plain UTF-8 text.</summary>
    /// <param name="file">The file's name, for messages.</param>
    /// <param name="utf8">Its bytes.</param>
    /// <exception cref="UntrustedFileException">The bytes are empty, begin with a byte order mark, or are not UTF-8.</exception>
    public static void CheckText(string file, ReadOnlySpan<byte> utf8)
    {
        if (utf8.IsEmpty)
            throw new UntrustedFileException(file, "is empty; a JSON object was wanted");
        if (utf8.StartsWith("\uFEFF"u8))
            throw new UntrustedFileException(file, "begins with a byte order mark; save it as UTF-8 without one");
        if (!Utf8.IsValid(utf8))
            throw new UntrustedFileException(file, "is not valid UTF-8; a JSON object in UTF-8 was wanted");
    }

    /// <summary>Parses a whole file that must be one JSON object without duplicate names, comments or trailing commas.</summary>
    /// <param name="file">The file's name, for messages.</param>
    /// <param name="utf8">Its bytes.</param>
    /// <exception cref="UntrustedFileException">The file is not such an object.</exception>
    public static JsonDocument ParseObject(string file, ReadOnlyMemory<byte> utf8)
    {
        CheckText(file, utf8.Span);
        JsonDocument? document = null;
        try
        {
            document = JsonDocument.Parse(utf8, new JsonDocumentOptions { MaxDepth = MaxDepth, AllowDuplicateProperties = false });
            if (document.RootElement.ValueKind != JsonValueKind.Object)
            {
                throw new UntrustedFileException(
                    file, $"found JSON {document.RootElement.ValueKind} at the top; an object was wanted");
            }

            return document;
        }
        catch (Exception e)
        {
            document?.Dispose();
            // InvalidOperationException: an escaped lone surrogate in a name cannot become text.
            if (e is JsonException or InvalidOperationException)
                throw new UntrustedFileException(file, "is not valid JSON: " + e.Message, e);
            throw;
        }
    }
}
