using System.Buffers.Binary;
using System.Text;
using System.Text.Unicode;

namespace LocalLlm.Weights;

/// <summary>Reads the bytes of a pickle from front to back; memory is allocated only for bytes that exist.</summary>
/// <param name="file">The file's name for messages.</param>
/// <param name="bytes">The pickle.</param>
internal sealed class PickleInput(string file, byte[] bytes)
{
    private const int MaxTextBytes = 1024;
    private const int MaxLineBytes = 128;

    private int _at;
    private int _opcodeAt;

    /// <summary>Whether nothing is left.</summary>
    public bool IsAtEnd => _at == bytes.Length;

    /// <summary>The next opcode.</summary>
    public byte Opcode()
    {
        _opcodeAt = _at;
        return Byte();
    }

    public byte Byte() => Take(1)[0];

    public int UInt16() => BinaryPrimitives.ReadUInt16LittleEndian(Take(sizeof(ushort)));

    public int Int32() => BinaryPrimitives.ReadInt32LittleEndian(Take(sizeof(int)));

    public uint UInt32() => BinaryPrimitives.ReadUInt32LittleEndian(Take(sizeof(uint)));

    /// <summary>A number in two's complement; its first byte gives the number of bytes.</summary>
    public long Long1()
    {
        var length = Byte();
        if (length > sizeof(long))
            throw Error($"found a number of {length} bytes, wanted at most {sizeof(long)}");
        var value = Take(length);
        var number = length > 0 && (sbyte)value[^1] < 0 ? -1L : 0;
        for (var i = length - 1; i >= 0; i--)
            number = (number << 8) | value[i];
        return number;
    }

    /// <summary>Reads a frame's length, which must not exceed the remaining bytes.</summary>
    public void Frame()
    {
        var length = BinaryPrimitives.ReadUInt64LittleEndian(Take(sizeof(ulong)));
        if (length > (ulong)(bytes.Length - _at))
            throw Error($"found a frame of {length} bytes, but {bytes.Length - _at} follow");
    }

    public string Text(uint length)
    {
        if (length > MaxTextBytes)
            throw Error($"found text of {length} bytes, wanted at most {MaxTextBytes}");
        var utf8 = Take((int)length);
        return Utf8.IsValid(utf8) ? Encoding.UTF8.GetString(utf8) : throw Error("found text that is not UTF-8");
    }

    /// <summary>ASCII text up to a line feed.</summary>
    public string Line()
    {
        var rest = bytes.AsSpan(_at, Math.Min(MaxLineBytes, bytes.Length - _at));
        var length = rest.IndexOf((byte)'\n');
        if (length < 0 || !Ascii.IsValid(rest[..length]))
            throw Error($"found no line of at most {MaxLineBytes} ASCII characters");
        _at += length + 1;
        return Encoding.ASCII.GetString(rest[..length]);
    }

    /// <summary>Creates an error at the opcode that was read last.</summary>
    public EngineException Error(string problem) => EngineException.ModelFolder(file, $"data.pkl: byte {_opcodeAt}: {problem}");

    private ReadOnlySpan<byte> Take(int count)
    {
        if (count > bytes.Length - _at)
            throw Error("the pickle ends within an instruction");
        _at += count;
        return bytes.AsSpan(_at - count, count);
    }
}
