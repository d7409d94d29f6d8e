using System.Text.Json;

namespace LocalLlm.Weights;

/// <summary>Names and sizes of <see cref="SafetensorsDtype"/>.</summary>
internal static class SafetensorsDtypes
{
    // Indexed by the enum's value.
    private static readonly (string Name, int Bytes)[] s_table =
    [
        ("BOOL", 1), ("U8", 1), ("I8", 1), ("F8_E5M2", 1), ("F8_E4M3", 1), ("F8_E8M0", 1), ("I16", 2), ("U16", 2),
        ("F16", 2), ("BF16", 2), ("I32", 4), ("U32", 4), ("F32", 4), ("F64", 8), ("I64", 8), ("U64", 8),
    ];

    // In the format, but nothing here computes with them.
    private static readonly string[] s_unsupported = ["F4", "F6_E2M3", "F6_E3M2", "F8_E4M3FNUZ", "F8_E5M2FNUZ", "C64"];

    /// <summary>All names that are read, for messages.</summary>
    public static string Known { get; } = string.Join(", ", s_table.Select(entry => entry.Name));

    /// <summary>Bytes of one element.</summary>
    public static int ByteSize(this SafetensorsDtype dtype) => s_table[(int)dtype].Bytes;

    /// <summary>The name in a header.</summary>
    public static string Name(this SafetensorsDtype dtype) => s_table[(int)dtype].Name;

    /// <summary>Finds the dtype whose name (case matters) is the string that <paramref name="json"/> stands at.</summary>
    public static bool TryRead(in Utf8JsonReader json, out SafetensorsDtype dtype)
    {
        for (var i = 0; i < s_table.Length; i++)
        {
            if (json.ValueTextEquals(s_table[i].Name))
            {
                dtype = (SafetensorsDtype)i;
                return true;
            }
        }

        dtype = default;
        return false;
    }

    /// <summary>True for a dtype that the format has and this build does not read.</summary>
    public static bool IsUnsupported(string name) => Array.IndexOf(s_unsupported, name) >= 0;
}
