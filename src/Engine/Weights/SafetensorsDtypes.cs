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

    // Types of the format that the engine does not compute with, with the bits of one element to check the span of a tensor.
    private static readonly (string Name, int Bits)[] s_others = [("F4", 4), ("F6_E2M3", 6), ("F6_E3M2", 6), ("F8_E4M3FNUZ", 8), ("F8_E5M2FNUZ", 8), ("C64", 64)];

    /// <summary>The names of all types that can be read, for messages.</summary>
    public static string Known { get; } = string.Join(", ", s_table.Select(entry => entry.Name));

    /// <summary>Bytes of one element; not for <see cref="SafetensorsDtype.Other"/>.</summary>
    public static int ByteSize(this SafetensorsDtype dtype) => s_table[(int)dtype].Bytes;

    /// <summary>The name in a header; not for <see cref="SafetensorsDtype.Other"/>, whose tensors carry their own type names.</summary>
    public static string Name(this SafetensorsDtype dtype) => s_table[(int)dtype].Name;

    /// <summary>Finds the dtype whose name is the string at the position of <paramref name="json"/>; case matters.</summary>
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

    /// <summary>Bits of one element of a type that cannot be read here; null: the format does not have it either.</summary>
    public static int? BitsOfOther(string name)
    {
        foreach (var (other, bits) in s_others)
        {
            if (other == name)
                return bits;
        }

        return null;
    }
}
