using System.Text.Json;
using System.Text.Unicode;

namespace LocalLlm.Primitives;

/// <summary>
/// Indexes where each member of a JSON object lies in its file. A file of megabytes can then be read section by section, in any order:
/// large sections are streamed, and only small ones become a document.
/// </summary>
public sealed class JsonSections
{
    /// <summary>Maximum nesting depth.</summary>
    public const int MaxDepth = 64;
    private const int MaxFileBytes = 128 << 20;
    private readonly Dictionary<string, ReadOnlyMemory<byte>> _members;
    private readonly string _file;
    private readonly string _path;

    private JsonSections(string file, string path, Dictionary<string, ReadOnlyMemory<byte>> members)
    {
        _file = file;
        _path = path;
        _members = members;
    }

    /// <summary>Reads a whole file after checking its size. The text must be UTF-8 and the outermost value an object.</summary>
    /// <param name="path">The path of the file.</param>
    /// <exception cref="UntrustedFileException">The file does not meet these conditions.</exception>
    public static JsonSections ReadFile(string path)
    {
        ArgumentNullException.ThrowIfNull(path);
        var file = System.IO.Path.GetFileName(path);
        ReadOnlyMemory<byte> bytes = UntrustedFile.ReadBytes(path, file, MaxFileBytes, "a JSON object");
        if (bytes.Span.StartsWith("\uFEFF"u8))
            bytes = bytes[3..];
        if (!Utf8.IsValid(bytes.Span))
            throw new UntrustedFileException(file, "the file is not valid UTF-8 text");
        return Parse(file, "", bytes);
    }

    /// <summary>Reader options for sections.</summary>
    public static JsonReaderOptions Options => new() { MaxDepth = MaxDepth };

    /// <summary>The member's bytes; empty if absent.</summary>
    /// <param name="name">The member's name.</param>
    public ReadOnlyMemory<byte> Bytes(string name) => _members.GetValueOrDefault(name);

    /// <summary>The full path of a member, for messages.</summary>
    /// <param name="name">The member's name.</param>
    public string PathOf(string name) => _path.Length == 0 ? name : $"{_path}.{name}";

    /// <summary>A small member as a document; a null field if absent.</summary>
    /// <param name="name">The member's name.</param>
    /// <exception cref="UntrustedFileException">The member is not valid JSON.</exception>
    public JsonField Field(string name)
    {
        var bytes = Bytes(name);
        if (bytes.IsEmpty)
            return new JsonField(_file, PathOf(name), default);
        return Guarded(_file, PathOf(name), () =>
        {
            using var document = JsonDocument.Parse(bytes, new JsonDocumentOptions { MaxDepth = MaxDepth });
            return new JsonField(_file, PathOf(name), document.RootElement.Clone());
        });
    }

    /// <summary>The members of a member that is an object.</summary>
    /// <param name="name">The member's name.</param>
    /// <exception cref="UntrustedFileException">The member is absent or not an object.</exception>
    public JsonSections Object(string name)
    {
        var bytes = Bytes(name);
        return bytes.IsEmpty
            ? throw new UntrustedFileException(_file, $"{PathOf(name)} is absent; an object was expected")
            : Parse(_file, PathOf(name), bytes);
    }

    private static JsonSections Parse(string file, string path, ReadOnlyMemory<byte> bytes) =>
        Guarded(file, path.Length == 0 ? "the file" : path, () =>
        {
            var members = new Dictionary<string, ReadOnlyMemory<byte>>(StringComparer.Ordinal);
            var reader = new Utf8JsonReader(bytes.Span, Options);
            reader.Read();
            if (reader.TokenType != JsonTokenType.StartObject)
                throw new UntrustedFileException(file, $"{(path.Length == 0 ? "the outermost value" : path)} is no object");
            while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
            {
                var name = reader.GetString()!;
                reader.Read();
                var start = (int)reader.TokenStartIndex;
                reader.Skip();
                if (!members.TryAdd(name, bytes[start..(int)reader.BytesConsumed]))
                {
                    throw new UntrustedFileException(
                        file, $"{(path.Length == 0 ? "the file" : path)} has the member \"{JsonField.Shorten(name)}\" twice");
                }
            }

            if (reader.Read())
                throw new UntrustedFileException(file, "something follows the outermost value");
            return new JsonSections(file, path, members);
        });

    /// <summary>Runs a JSON reader and converts its exceptions to <see cref="UntrustedFileException"/>.</summary>
    /// <param name="file">The file's name.</param>
    /// <param name="path">The path of the value that is read, for messages.</param>
    /// <param name="read">The reader.</param>
    /// <exception cref="UntrustedFileException">The reader found invalid JSON.</exception>
    public static T Guarded<T>(string file, string path, Func<T> read)
    {
        ArgumentNullException.ThrowIfNull(read);
        try
        {
            return read();
        }
        catch (JsonException cause)
        {
            throw new UntrustedFileException(
                file,
                $"{path} is no valid JSON (nested deeper than {MaxDepth}, cut off or malformed): {JsonField.Shorten(cause.Message)}",
                cause);
        }
        catch (InvalidOperationException cause)
        {
            throw new UntrustedFileException(file, $"{path} holds text that is no valid Unicode or a value of the wrong type", cause);
        }
    }
}
