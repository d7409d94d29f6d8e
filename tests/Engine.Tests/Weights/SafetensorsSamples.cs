using System.Buffers.Binary;
using System.Text;
using LocalLlm.Weights;

namespace LocalLlm.Tests.Weights;

/// <summary>Hand-made safetensors files, good and bad.</summary>
internal static class SafetensorsSamples
{
    /// <summary>A header of two tensors (F32 [2,3], BF16 [4]) over 32 bytes of data.</summary>
    public const string TwoTensors =
        """{"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},"b":{"dtype":"BF16","shape":[4],"data_offsets":[24,32]}}""";

    /// <summary>A whole file: length, header, data.</summary>
    public static byte[] File(byte[] header, int dataLength, ulong? statedLength = null)
    {
        var file = new byte[SafetensorsHeader.PrefixLength + header.Length + dataLength];
        BinaryPrimitives.WriteUInt64LittleEndian(file, statedLength ?? (ulong)header.Length);
        header.CopyTo(file, SafetensorsHeader.PrefixLength);
        for (var i = 0; i < dataLength; i++)
            file[SafetensorsHeader.PrefixLength + header.Length + i] = (byte)(i + 1);
        return file;
    }

    public static byte[] File(string header, int dataLength, ulong? statedLength = null) =>
        File(Encoding.UTF8.GetBytes(header), dataLength, statedLength);

    /// <summary>A file whose tensors hold one value each.</summary>
    public static void WriteFile(string path, params (string Name, float Value)[] tensors)
    {
        using var writer = SafetensorsWriter.Create(path, [.. tensors.Select(t => new TensorSpec(t.Name, SafetensorsDtype.F32, [1]))]);
        foreach (var (_, value) in tensors)
            writer.Write(BitConverter.GetBytes(value));
        writer.Complete();
    }
}
