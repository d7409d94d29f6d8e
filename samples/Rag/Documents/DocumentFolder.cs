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
    private readonly DocumentOptions _options = options.Value.Documents;

    /// <summary>Names of all files, also of those that cannot be read; links are not followed.</summary>
    /// <exception cref="RagException">There is no such folder.</exception>
    public IReadOnlyList<string> List()
    {
        if (!Directory.Exists(_options.Folder))
            throw new RagException($"the documents folder '{_options.Folder}' does not exist; create it, or name another one (--documents, Rag:Documents:Folder)");
        var found = new EnumerationOptions { RecurseSubdirectories = true, AttributesToSkip = FileAttributes.Hidden | FileAttributes.System | FileAttributes.ReparsePoint };
        return [.. Directory.EnumerateFiles(_options.Folder, "*", found).Select(path => Path.GetRelativePath(_options.Folder, path).Replace('\\', '/')).Order(StringComparer.Ordinal)];
    }

    /// <summary>Reads one document.</summary>
    /// <exception cref="RagException">It cannot be read; the message goes on from the document's name.</exception>
    public async Task<SourceDocument> ReadAsync(string name, CancellationToken cancellationToken)
    {
        var bytes = await ReadBytesAsync(name, cancellationToken);
        var sections = await ParseAsync(name, bytes, cancellationToken);
        if (sections.Count == 0)
            throw new RagException("it is empty; write something into it, or remove it");
        return new(name, Convert.ToHexStringLower(SHA256.HashData(bytes)), sections);
    }

    private async Task<byte[]> ReadBytesAsync(string name, CancellationToken cancellationToken)
    {
        try
        {
            var path = Path.Combine(_options.Folder, name);
            var length = new FileInfo(path).Length;
            if (length > _options.MaxFileBytes)
                throw new RagException($"it has {length} bytes; allowed: {_options.MaxFileBytes} (Rag:Documents:MaxFileBytes). Split it, or raise the limit.");
            return await File.ReadAllBytesAsync(path, cancellationToken);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            throw new RagException($"it cannot be opened: {failure.Message}", failure);
        }
    }

    private async Task<IReadOnlyList<DocumentSection>> ParseAsync(string name, byte[] bytes, CancellationToken cancellationToken)
    {
        try
        {
            // A parser that does not come back is left behind: nothing can stop it, but the other documents go on.
            return await Task.Run(() => Parse(name, bytes, cancellationToken), cancellationToken).WaitAsync(_options.ReadTimeout, cancellationToken);
        }
        catch (TimeoutException failure)
        {
            throw new RagException($"reading it took longer than {_options.ReadTimeout} (Rag:Documents:ReadTimeout); save it again with another program, or raise the limit", failure);
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
        try
        {
            var text = s_strictUtf8.GetString(bytes).TrimStart('\uFEFF');
            return text.Contains('\0') ? throw new RagException("it holds NUL characters, so it is no text; save it as UTF-8") : text;
        }
        catch (DecoderFallbackException failure)
        {
            throw new RagException($"it is not UTF-8 (byte {failure.Index}); save it as UTF-8", failure);
        }
    }
}
