using System.Buffers;
using System.Buffers.Binary;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace LocalLlm.Weights;

/// <summary>
/// Writes a safetensors file as a stream: first all names and shapes, then the bytes of every tensor in the given order, in pieces of any
/// size. The header is padded so that the data begins at a multiple of 8 bytes.
/// </summary>
internal sealed class SafetensorsWriter : IDisposable
{
    private readonly Stream _stream;
    private long _missing;

    /// <summary>Writes the header. Takes ownership of <paramref name="stream"/>.</summary>
    /// <param name="stream">The stream to write to.</param>
    /// <param name="tensors">The tensors in the order of their bytes.</param>
    /// <param name="metadata">The <c>__metadata__</c> map, or null.</param>
    /// <exception cref="ArgumentException">A name occurs twice or is reserved, or a dimension is negative.</exception>
    public SafetensorsWriter(Stream stream, IReadOnlyList<TensorSpec> tensors, IReadOnlyDictionary<string, string>? metadata = null)
    {
        _stream = stream;
        var header = Header(tensors, metadata, out _missing);
        Span<byte> prefix = stackalloc byte[SafetensorsHeader.PrefixLength];
        BinaryPrimitives.WriteUInt64LittleEndian(prefix, (ulong)header.Length);
        stream.Write(prefix);
        stream.Write(header);
    }

    /// <summary>Creates (or replaces) a file.</summary>
    public static SafetensorsWriter Create(
        string path, IReadOnlyList<TensorSpec> tensors, IReadOnlyDictionary<string, string>? metadata = null) =>
        new(new FileStream(path, FileMode.Create, FileAccess.Write, FileShare.None, bufferSize: 1 << 16), tensors, metadata);

    /// <summary>Appends the next bytes of data.</summary>
    /// <exception cref="InvalidOperationException">There are more bytes than the shapes allow.</exception>
    public void Write(ReadOnlySpan<byte> data)
    {
        if (data.Length > _missing)
            throw new InvalidOperationException($"{data.Length} bytes given, {_missing} missing");
        _stream.Write(data);
        _missing -= data.Length;
    }

    /// <summary>Flushes, once every byte has been written.</summary>
    /// <exception cref="InvalidOperationException">Bytes are missing.</exception>
    public void Complete()
    {
        if (_missing != 0)
            throw new InvalidOperationException($"{_missing} bytes of data are missing");
        _stream.Flush();
    }

    /// <inheritdoc/>
    public void Dispose() => _stream.Dispose();

    private static byte[] Header(
        IReadOnlyList<TensorSpec> tensors, IReadOnlyDictionary<string, string>? metadata, out long dataLength)
    {
        var names = new HashSet<string>(StringComparer.Ordinal) { "__metadata__" };
        var buffer = new ArrayBufferWriter<byte>();
        using var json = new Utf8JsonWriter(buffer, new JsonWriterOptions { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping });
        json.WriteStartObject();
        if (metadata is not null)
        {
            json.WriteStartObject("__metadata__");
            foreach (var (key, value) in metadata)
                json.WriteString(key, value);
            json.WriteEndObject();
        }

        dataLength = 0;
        foreach (var tensor in tensors)
        {
            if (!names.Add(tensor.Name))
                throw new ArgumentException($"tensor name {tensor.Name} occurs twice or is reserved", nameof(tensors));
            if (tensor.Shape.Any(dim => dim < 0))
                throw new ArgumentException($"tensor {tensor.Name} has a negative dimension", nameof(tensors));
            var end = checked(dataLength + tensor.ByteLength);
            json.WriteStartObject(tensor.Name);
            json.WriteString("dtype", tensor.Dtype.Name());
            WriteArray(json, "shape", tensor.Shape);
            WriteArray(json, "data_offsets", [dataLength, end]);
            json.WriteEndObject();
            dataLength = end;
        }

        json.WriteEndObject();
        json.Flush();
        var padding = -buffer.WrittenCount & 7;
        buffer.GetSpan(8)[..padding].Fill((byte)' ');
        buffer.Advance(padding);
        return buffer.WrittenSpan.ToArray();
    }

    private static void WriteArray(Utf8JsonWriter json, string name, ReadOnlySpan<long> values)
    {
        json.WriteStartArray(name);
        foreach (var value in values)
            json.WriteNumberValue(value);
        json.WriteEndArray();
    }
}
