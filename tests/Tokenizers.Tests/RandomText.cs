using System.Text;

namespace LocalLlm.Tokenizers.Tests;

/// <summary>
/// Strings that are hard for tokenizers: many scripts, combining marks, supplementary planes, spaces and line breaks of all kinds.
/// </summary>
internal static class RandomText
{
    private static readonly (int First, int Last)[] Ranges =
    [
        (0x20, 0x7E), (0x20, 0x7E), (0x61, 0x7A), (0x30, 0x39), (0xA0, 0x24F), (0x370, 0x52F), (0x590, 0x6FF), (0x900, 0xEFF),
        (0x1100, 0x11FF), (0xAC00, 0xD7A3), (0x3040, 0x30FF), (0x4E00, 0x9FFF), (0x300, 0x36F), (0x20000, 0x2A6DF), (0x1D400, 0x1D7FF),
        (0x1F300, 0x1FAFF), (0x0, 0x1F), (0x7F, 0xA0), (0x2000, 0x2BFF), (0xE000, 0xE0FF), (0xF900, 0xFAFF), (0xFF00, 0xFFEF), (0x1F1E6, 0x1F1FF),
    ];

    private static readonly string[] Pieces =
    [
        "\r\n", "\n", "\r", "\n\n", " ", "  ", "     ", "\t", " \n ", "\u0085", "\u00A0", "\u3000", "\u180E", "\uFEFF", "\u200D", "\uFFFE", "\uFFFF",
        "'s", "'S", "'LL", "'re", "'Ve", "'\u017F", "'", "e\u0301", "A\u030A", "\u1100\u1161\u11A8", "the ", "Hello", "123", "1234567", "你好", "。", "👩‍👧", "<", ">", "|",
    ];

    public static string Next(Random random, IReadOnlyList<string>? more = null, int maxPieces = 24)
    {
        var text = new StringBuilder();
        var range = Ranges[random.Next(Ranges.Length)];
        for (var i = random.Next(maxPieces + 1); i > 0; i--)
        {
            if (random.Next(4) == 0)
                range = Ranges[random.Next(Ranges.Length)];
            var kind = random.Next(more is { Count: > 0 } ? 6 : 4);
            if (kind == 0)
                text.Append(Pieces[random.Next(Pieces.Length)]);
            else if (kind >= 4)
                text.Append(more![random.Next(more.Count)]);
            else
                text.Append(new Rune(random.Next(range.First, range.Last + 1)).ToString());
        }

        return text.ToString();
    }
}
