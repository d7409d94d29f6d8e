namespace LocalLlm.Weights;

/// <summary>The checksum of zip archives.</summary>
internal static class Crc32
{
    private static readonly uint[] s_table = Table();

    /// <summary>The CRC-32 of some bytes.</summary>
    public static uint Of(ReadOnlySpan<byte> bytes)
    {
        var crc = uint.MaxValue;
        foreach (var value in bytes)
            crc = s_table[(byte)crc ^ value] ^ (crc >> 8);
        return ~crc;
    }

    private static uint[] Table()
    {
        const uint Polynomial = 0xEDB88320;
        var table = new uint[256];
        for (var i = 0u; i < table.Length; i++)
        {
            var value = i;
            for (var bit = 0; bit < 8; bit++)
                value = (value & 1) != 0 ? Polynomial ^ (value >> 1) : value >> 1;
            table[i] = value;
        }

        return table;
    }
}
