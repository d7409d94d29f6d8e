using System.Text;

namespace LocalLlm.Tokenizers;

/// <summary>GPT-2's alphabet: one printable character for every byte, which makes any text a text over 256 characters.</summary>
internal static class ByteAlphabet
{
    private const int Letters = 0x144;
    private static readonly char[] CharacterOfByte = Build();
    private static readonly short[] ByteOfCharacter = Invert();

    public static char Character(byte value) => CharacterOfByte[value];

    /// <summary>The byte that a character stands for, or -1.</summary>
    public static int Byte(int codePoint) => (uint)codePoint < Letters ? ByteOfCharacter[codePoint] : -1;

    /// <summary>The bytes of a token: one per letter, or its UTF-8 if it has characters outside the alphabet.</summary>
    public static void AppendBytes(ReadOnlySpan<char> token, List<byte> bytes)
    {
        var start = bytes.Count;
        foreach (var c in token)
        {
            var value = Byte(c);
            if (value < 0)
            {
                bytes.RemoveRange(start, bytes.Count - start);
                bytes.AddRange(Encoding.UTF8.GetBytes(token.ToString()));
                return;
            }

            bytes.Add((byte)value);
        }
    }

    private static char[] Build()
    {
        var result = new char[256];
        var next = 0x100;
        for (var b = 0; b < 256; b++)
            result[b] = b is (>= '!' and <= '~') or (>= 0xA1 and <= 0xAC) or >= 0xAE ? (char)b : (char)next++;
        return result;
    }

    private static short[] Invert()
    {
        var result = new short[Letters];
        Array.Fill(result, (short)-1);
        for (var b = 0; b < 256; b++)
            result[CharacterOfByte[b]] = (short)b;
        return result;
    }
}
