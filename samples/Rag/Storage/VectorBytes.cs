using System.Runtime.InteropServices;
using LocalLlm.Samples.Rag.Search;

namespace LocalLlm.Samples.Rag.Storage;

/// <summary>Converts arrays to bytes, little-endian like all machines that the engine runs on.</summary>
internal static class VectorBytes
{
    public static byte[] Of<T>(T[] values)
        where T : unmanaged => MemoryMarshal.AsBytes<T>(values).ToArray();

    public static T[] Read<T>(byte[] bytes)
        where T : unmanaged => MemoryMarshal.Cast<byte, T>(bytes).ToArray();

    public static ReadOnlySpan<float> Floats(byte[] bytes) => MemoryMarshal.Cast<byte, float>(bytes);

    public static TextVectors Vectors(float[] dense, byte[] tokens, byte[] weights, byte[] tokenVectors, int tokenWidth) =>
        new(dense, Read<int>(tokens), Read<float>(weights), tokenWidth == 0 ? [] : [.. Read<float>(tokenVectors).Chunk(tokenWidth)]);
}
