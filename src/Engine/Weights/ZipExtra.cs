using static System.Buffers.Binary.BinaryPrimitives;

namespace LocalLlm.Weights;

/// <summary>The extra fields of a zip header; only the 64-bit values are used here.</summary>
internal static class ZipExtra
{
    private const int HeaderLength = 4;
    private const ushort Zip64 = 1;

    /// <summary>Reads the values of the one zip64 field.</summary>
    /// <param name="extra">All extra fields.</param>
    /// <param name="values">Filled; its length is the number of values that the header refers to.</param>
    /// <returns>False if a field exceeds the header, or the zip64 field is missing, duplicate, unnecessary or of another length.</returns>
    public static bool TryRead64(ReadOnlySpan<byte> extra, Span<ulong> values)
    {
        var found = false;
        while (!extra.IsEmpty)
        {
            if (extra.Length < HeaderLength)
                return false;
            var length = ReadUInt16LittleEndian(extra[2..]);
            if (length > extra.Length - HeaderLength)
                return false;
            if (ReadUInt16LittleEndian(extra) == Zip64)
            {
                if (found || length != values.Length * sizeof(ulong))
                    return false;
                found = true;
                for (var i = 0; i < values.Length; i++)
                    values[i] = ReadUInt64LittleEndian(extra[(HeaderLength + (i * sizeof(ulong)))..]);
            }

            extra = extra[(HeaderLength + length)..];
        }

        return found || values.IsEmpty;
    }
}
