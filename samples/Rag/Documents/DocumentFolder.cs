using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using LocalLlm.Samples.Rag.Configuration;
using Microsoft.Extensions.Options;

namespace LocalLlm.Samples.Rag.Documents;

/// <summary>The documents of the configured folder: Markdown, plain text and PDF.</summary>
internal sealed class DocumentFolder(IOptions<RagOptions> options)
{
    private const string KnownFormats = ".md, .markdown, .txt and .pdf";
    private static readonly UTF8Encoding s_strictUtf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);
    private static readonly EnumerationOptions s_visible = new() { IgnoreInaccessible = false, AttributesToSkip = FileAttributes.Hidden | FileAttributes.System | FileAttributes.ReparsePoint };
    private readonly DocumentOptions _options = options.Value.Documents;

    /// <summary>The folder's full path; a store remembers it as its folder.</summary>
    public string FullPath => Path.TrimEndingDirectorySeparator(Path.GetFullPath(_options.Folder));

    /// <summary>Lists a folder's entries. Tests replace it to simulate a failing disk, because permissions do not stop an
    /// administrator.</summary>
    internal Func<string, IReadOnlyList<FileSystemInfo>> Entries { get; set; } = folder => [.. new DirectoryInfo(folder).EnumerateFileSystemInfos("*", s_visible)];

    /// <summary>
    /// Lists all files, including unreadable ones, and the folders that cannot be opened. Links are not followed.
    /// </summary>
    /// <exception cref="RagException">The folder does not exist.</exception>
    public FolderListing List()
    {
        if (!Directory.Exists(_options.Folder))
            throw new RagException($"the documents folder '{_options.Folder}' does not exist; create it, or name another one (--documents, Rag:Documents:Folder)");
        var files = new List<string>();
        var unreadable = new SortedDictionary<string, string>(StringComparer.Ordinal);
        var folders = new Stack<string>([FullPath]);
        while (folders.TryPop(out var folder))
        {
            try
            {
                foreach (var entry in Entries(folder))
                {
                    if (entry is DirectoryInfo)
                        folders.Push(entry.FullName);
                    else
                        files.Add(NameOf(entry.FullName));
                }
            }
            catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
            {
                // Not the same as an empty folder: the store must keep its documents.
                unreadable[NameOf(folder)] = $"the folder cannot be opened: {failure.Message}";
            }
        }

        return new([.. files.Order(StringComparer.Ordinal)], unreadable);
    }

    /// <summary>All signs of change that need no reading: names, sizes, times, permissions, and which folders cannot be opened.</summary>
    /// <exception cref="RagException">The folder does not exist.</exception>
    public FolderState State()
    {
        var listing = List();
        var stamp = new StringBuilder();
        var lastChange = DateTimeOffset.MinValue;
        foreach (var name in listing.Files)
        {
            // A file that was removed after the listing has no size; the next check no longer lists it.
            var file = new FileInfo(Path.Combine(FullPath, name));
            var mode = OperatingSystem.IsWindows() || !file.Exists ? 0 : (int)file.UnixFileMode;
            stamp.Append(CultureInfo.InvariantCulture, $"{name}\0{(file.Exists ? file.Length : -1)} {file.LastWriteTimeUtc.Ticks} {file.CreationTimeUtc.Ticks} {mode}\0");
            if (file.LastWriteTimeUtc > lastChange)
                lastChange = file.LastWriteTimeUtc;
        }

        return new(stamp.Append('\0').AppendJoin('\0', listing.Unreadable.Keys).ToString(), lastChange);
    }

    // Only this system's separator becomes a slash: on other systems a backslash is a character of a name.
    private string NameOf(string path) => Path.GetRelativePath(FullPath, path).Replace(Path.DirectorySeparatorChar, '/');

    /// <summary>Reads one document.</summary>
    /// <exception cref="RagException">The document cannot be read. The message continues after the document's name.</exception>
    public async Task<SourceDocument> ReadAsync(string name, CancellationToken cancellationToken)
    {
        try
        {
            // A disk or parser that hangs is abandoned: nothing can stop it, but the other documents are still read.
            return await Task.Run(() => Read(name, cancellationToken), cancellationToken).WaitAsync(_options.ReadTimeout, cancellationToken);
        }
        catch (TimeoutException failure)
        {
            throw new RagException($"reading it took longer than {_options.ReadTimeout} (Rag:Documents:ReadTimeout); save it again with another program, or raise the limit", failure);
        }
    }

    private SourceDocument Read(string name, CancellationToken cancellationToken)
    {
        var bytes = ReadBytes(name);
        var sections = Parse(name, bytes, cancellationToken);
        if (sections.Count == 0)
            throw new RagException(bytes.All(b => b is (byte)' ' or >= 9 and <= 13) ? "it is empty; write something into it, or remove it" : "it holds no text; write something into it, or remove it");
        return new(name, Convert.ToHexStringLower(SHA256.HashData(bytes)), sections);
    }

    private byte[] ReadBytes(string name)
    {
        try
        {
            var path = Path.Combine(FullPath, name);
            var length = new FileInfo(path).Length;
            // Pipes, sockets and devices have no length either. They must not even be opened: a pipe would wait forever for its writer.
            if (length == 0)
                throw new RagException("it is empty, or no regular file (a pipe, a socket, a device); write something into it, or remove it");
            if (length > _options.MaxFileBytes)
                throw new RagException($"it has {length} bytes; allowed: {_options.MaxFileBytes} (Rag:Documents:MaxFileBytes). Split it, or raise the limit.");
            return File.ReadAllBytes(path);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            throw new RagException($"it cannot be opened: {failure.Message}", failure);
        }
    }

    private IReadOnlyList<DocumentSection> Parse(string name, byte[] bytes, CancellationToken cancellationToken) => Path.GetExtension(name).ToLowerInvariant() switch
    {
        ".md" or ".markdown" => MarkdownReader.Read(TextOf(bytes)),
        ".txt" => PlainTextReader.Read(TextOf(bytes)),
        ".pdf" => PdfReader.Read(bytes, _options.MaxPdfPages, cancellationToken),
        var other => throw new RagException($"its format ({(other.Length == 0 ? "no ending" : other)}) is not known; known: {KnownFormats}. Convert it, or move it elsewhere."),
    };

    private static string TextOf(byte[] bytes)
    {
        // Only a byte-order mark distinguishes UTF-16 from other encodings.
        Encoding encoding = bytes switch
        {
            [0xFF, 0xFE, ..] => new UnicodeEncoding(bigEndian: false, byteOrderMark: false, throwOnInvalidBytes: true),
            [0xFE, 0xFF, ..] => new UnicodeEncoding(bigEndian: true, byteOrderMark: false, throwOnInvalidBytes: true),
            _ => s_strictUtf8,
        };
        try
        {
            var text = encoding.GetString(bytes).TrimStart('\uFEFF');
            return text.Contains('\0') ? throw new RagException("it holds NUL characters, so it is no text; save it as UTF-8") : text;
        }
        catch (DecoderFallbackException failure)
        {
            throw new RagException($"it is not {(encoding == s_strictUtf8 ? "UTF-8" : "the UTF-16 that its first bytes announce")} (byte {failure.Index}); save it as UTF-8, or convert it, Chinese text for example by iconv -f GB18030 -t UTF-8", failure);
        }
    }
}

/// <param name="Stamp">Equal for two checks if none of the signs of change differs between them.</param>
/// <param name="LastChange">The latest change of any document.</param>
internal sealed record FolderState(string Stamp, DateTimeOffset LastChange);

/// <param name="Files">The names of all files.</param>
/// <param name="Unreadable">Folders that cannot be opened, with the reason; "." is the documents folder itself.</param>
internal sealed record FolderListing(IReadOnlyList<string> Files, IReadOnlyDictionary<string, string> Unreadable)
{
    /// <summary>Whether a document may still exist in a folder that cannot be opened.</summary>
    public bool MayHold(string name) => Unreadable.Keys.Any(folder => folder == "." || name.StartsWith(folder + "/", StringComparison.Ordinal));
}
