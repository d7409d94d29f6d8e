using System.Buffers.Binary;
using System.Text.Json;
using System.Text.Unicode;

namespace LocalLlm.Weights;

/// <summary>
/// The header of a safetensors file. It is checked completely before anything is used, by the rules of the format's reference reader
/// (huggingface/safetensors, <c>tensor.rs</c>), and of its specification where that is stricter. The file has 8 bytes with the length N, at
/// most 100,000,000 and within the file, then N bytes of UTF-8 JSON that begin with <c>{</c>. No name occurs twice. Every tensor's span
/// equals shape × element size, and the spans cover the rest of the file without hole or overlap.
/// </summary>
internal sealed class SafetensorsHeader
{
    /// <summary>The format's limit for N.</summary>
    public const int MaxLength = 100_000_000;

    /// <summary>Bytes of the length field before the header.</summary>
    public const int PrefixLength = sizeof(ulong);

    private SafetensorsHeader(IReadOnlyDictionary<string, TensorInfo> tensors, IReadOnlyDictionary<string, string> metadata)
    {
        Tensors = tensors;
        Metadata = metadata;
    }

    /// <summary>The tensors by name.</summary>
    public IReadOnlyDictionary<string, TensorInfo> Tensors { get; }

    /// <summary>The <c>__metadata__</c> map; empty if the file has none.</summary>
    public IReadOnlyDictionary<string, string> Metadata { get; }

    /// <summary>Reads and checks N, the header's length.</summary>
    /// <param name="file">The file's name for messages.</param>
    /// <param name="start">The first bytes of the file: 8 or more, unless the file is shorter.</param>
    /// <param name="fileLength">Bytes of the whole file.</param>
    /// <exception cref="EngineException">The file is too short, or N exceeds the format's limit or the file.</exception>
    public static int ReadLength(string file, ReadOnlySpan<byte> start, long fileLength)
    {
        if (fileLength < PrefixLength || start.Length < PrefixLength)
            throw Error(file, $"has {fileLength} bytes; a safetensors file has at least {PrefixLength}, the length of its header");
        var length = BinaryPrimitives.ReadUInt64LittleEndian(start);
        if (length > MaxLength)
            throw Error(file, $"header length: found {length}, wanted at most {MaxLength}; not a safetensors file, or damaged");
        if (length > (ulong)(fileLength - PrefixLength))
        {
            throw Error(
                file,
                $"header length: found {length}, but only {fileLength - PrefixLength} bytes follow; the file is truncated or damaged");
        }

        return (int)length;
    }

    /// <summary>Parses and checks the header.</summary>
    /// <param name="file">The file's name for messages.</param>
    /// <param name="header">The N bytes after the length.</param>
    /// <param name="fileLength">Bytes of the whole file.</param>
    /// <exception cref="EngineException">A rule is broken; the message names the tensor, the field, the value found and the value
    /// wanted.</exception>
    public static SafetensorsHeader Parse(string file, ReadOnlySpan<byte> header, long fileLength)
    {
        if (header.IsEmpty || header[0] != (byte)'{')
            throw Error(file, $"header: found {(header.IsEmpty ? "nothing" : $"byte 0x{header[0]:x2}")} at its start, wanted '{{'");
        if (!Utf8.IsValid(header))
            throw Error(file, "header: is not valid UTF-8");

        var dataStart = PrefixLength + header.Length;
        var reader = new SafetensorsHeaderReader(file, header, dataStart, fileLength - dataStart);
        try
        {
            reader.Read();
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            // InvalidOperationException: an escaped lone surrogate cannot become text.
            throw EngineException.ModelFolder(file, "header: is not valid JSON: " + e.Message, e);
        }

        CheckLayout(file, [.. reader.Tensors.Values], dataStart, fileLength);
        return new SafetensorsHeader(reader.Tensors, reader.Metadata ?? []);
    }

    // No hole, no overlap, no byte left over: each tensor begins where the one before it ends.
    private static void CheckLayout(string file, TensorInfo[] tensors, long dataStart, long fileLength)
    {
        Array.Sort(tensors, Compare);
        var expected = dataStart;
        TensorInfo? before = null;
        foreach (var tensor in tensors)
        {
            if (tensor.Offset != expected)
            {
                var fault = tensor.Offset > expected ? "leaves a hole" : $"overlaps tensor {ModelFolderProblems.Quote(before!.Name)}";
                throw Error(
                    file,
                    $"tensor {ModelFolderProblems.Quote(tensor.Name)}: data_offsets {fault}: " +
                    $"found begin {tensor.Offset - dataStart}, wanted {expected - dataStart}");
            }

            expected += tensor.ByteLength;
            before = tensor;
        }

        if (expected != fileLength)
        {
            var last = before is null
                ? "the header names no tensor"
                : $"tensor {ModelFolderProblems.Quote(before.Name)}: data_offsets end at {expected - dataStart}";
            throw Error(file, $"{last}, but the data section has {fileLength - dataStart} bytes: bytes that belong to no tensor follow");
        }
    }

    // A zero-size tensor comes before the tensor that begins at the same byte.
    private static int Compare(TensorInfo a, TensorInfo b) =>
        a.Offset != b.Offset ? a.Offset.CompareTo(b.Offset) : a.ByteLength.CompareTo(b.ByteLength);

    private static EngineException Error(string file, string problem) => EngineException.ModelFolder(file, problem);
}
