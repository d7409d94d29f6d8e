using System.Text;

namespace LocalLlm.Tests;

/// <summary>Seeded damage to a valid text: flipped, cut and duplicated bytes, and hostile words in place of good ones.</summary>
internal sealed class Mutator(int seed)
{
    private static readonly byte[][] s_words =
    [
        .. new[]
        {
            "0", "-1", "1e400", "1.0", "4611686018427387904", "18446744073709551615", "18446744073709551616", "99999999999999999999999",
            "null", "true", "{}", "[]", "[[[[[[[[[[", "\"\"", "\"\\ud800\"", "\"\\u0000\"", "NaN", "-0", "\"F4\"", "{\"a\":{\"b\":{\"c\":1}}}",
            ",", ":", "}", "]", "\"", "//", "\uFEFF", "1e-400", "\"yarn\"", "\"longrope\"", "2147483648", "0.5",
        }.Select(Encoding.UTF8.GetBytes),
        [0xff], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0],
    ];

    private static readonly byte[][] s_values =
    [
        .. new[]
        {
            "0", "1", "2", "3", "4", "7", "8", "16", "24", "32", "40", "64", "320", "-1", "1e400", "1.0", "0.5", "4611686018427387904",
            "18446744073709551616", "null", "true", "false", "{}", "[]", "\"\"", "\"\\ud800\"", "\"\\u0000\"", "\"F4\"", "\"U8\"", "\"F64\"",
            "\"yarn\"", "\"linear\"", "\"dynamic\"", "\"default\"", "\"longrope\"", "\"float16\"", "2147483648", "1e-6", "1e15",
        }.Select(Encoding.UTF8.GetBytes),
    ];

    private readonly Random _random = new(seed);

    /// <summary>Multiplies a number of fuzz runs by LOCALLLM_FUZZ (default 1).</summary>
    public static int Times(int count) => count * (int.TryParse(Environment.GetEnvironmentVariable("LOCALLLM_FUZZ"), out var factor) ? factor : 1);

    public byte[] Mutate(byte[] text)
    {
        var bytes = text.ToList();
        var areWellFormed = _random.Next(2) == 0;
        for (var i = _random.Next(1, 5); i > 0; i--)
        {
            if (areWellFormed)
                ReplaceNumberOrWord(bytes);
            else
                MutateOnce(bytes);
        }

        return [.. bytes];
    }

    private void MutateOnce(List<byte> bytes)
    {
        var at = _random.Next(bytes.Count + 1);
        var length = Math.Min(_random.Next(1, 24), bytes.Count - at);
        switch (_random.Next(6))
        {
            case 0 when at < bytes.Count:
                bytes[at] ^= (byte)(1 << _random.Next(8));
                break;
            case 1:
                bytes.RemoveRange(at, length);
                break;
            case 2:
                bytes.InsertRange(_random.Next(bytes.Count + 1), bytes.GetRange(at, length));
                break;
            case 3:
                bytes.InsertRange(at, s_words[_random.Next(s_words.Length)]);
                break;
            default:
                ReplaceBetween(bytes, at, ",:[]{}", s_words);
                break;
        }
    }

    // Replaces one scalar by another. The text stays JSON, so the mutation reaches the checks behind the syntax.
    private void ReplaceNumberOrWord(List<byte> bytes)
    {
        for (var tries = 0; tries < 50; tries++)
        {
            var at = _random.Next(bytes.Count);
            if (bytes[at] is >= (byte)'0' and <= (byte)'9' || (bytes[at] == (byte)'"' && at > 0 && bytes[at - 1] == (byte)':'))
            {
                ReplaceBetween(bytes, at, ",:[]{}", s_values);
                return;
            }
        }
    }

    // Replaces whatever stands between two separators by another word.
    private void ReplaceBetween(List<byte> bytes, int at, string separators, byte[][] words)
    {
        var from = at;
        while (from > 0 && !separators.Contains((char)bytes[from - 1]))
            from--;
        var to = at;
        while (to < bytes.Count && !separators.Contains((char)bytes[to]))
            to++;
        bytes.RemoveRange(from, to - from);
        bytes.InsertRange(from, words[_random.Next(words.Length)]);
    }
}
