namespace LocalLlm.Grammars;

/// <summary>Ranges of code points as sequences of byte ranges (the method of Russ Cox's RE2).</summary>
internal static class Utf8Ranges
{
    private const int FirstSurrogate = 0xD800;
    private const int LastSurrogate = 0xDFFF;

    // The last code point of each length.
    private static readonly int[] LastOfLength = [0x7F, 0x7FF, 0xFFFF, 0x10FFFF];

    /// <summary>Any code point of some ranges, surrogates excluded.</summary>
    /// <exception cref="GrammarException">The ranges contain none.</exception>
    public static Fragment Add(GrammarNodes nodes, IEnumerable<(int First, int Last)> ranges)
    {
        var parts = new List<Fragment>();
        foreach (var (first, last) in ranges)
        {
            AddScalars(nodes, parts, first, Math.Min(last, FirstSurrogate - 1));
            AddScalars(nodes, parts, Math.Max(first, LastSurrogate + 1), last);
        }

        if (parts.Count == 0)
            throw new GrammarException("a character class is empty");
        return parts.Count == 1 ? parts[0] : nodes.Either([.. parts]);
    }

    private static void AddScalars(GrammarNodes nodes, List<Fragment> parts, int first, int last)
    {
        var begin = 0;
        foreach (var end in LastOfLength)
        {
            if (first <= end && last >= begin)
                AddSameLength(nodes, parts, Math.Max(first, begin), Math.Min(last, end), Array.IndexOf(LastOfLength, end) + 1);
            begin = end + 1;
        }
    }

    // Splits the range so that in each part every byte has an independent range.
    private static void AddSameLength(GrammarNodes nodes, List<Fragment> parts, int first, int last, int length)
    {
        if (first > last)
            return;
        for (var i = 1; i < length; i++)
        {
            var mask = (1 << (6 * i)) - 1;
            if ((first & ~mask) == (last & ~mask))
                continue;
            if ((first & mask) != 0)
            {
                AddSameLength(nodes, parts, first, first | mask, length);
                AddSameLength(nodes, parts, (first | mask) + 1, last, length);
                return;
            }

            if ((last & mask) != mask)
            {
                AddSameLength(nodes, parts, first, (last & ~mask) - 1, length);
                AddSameLength(nodes, parts, last & ~mask, last, length);
                return;
            }
        }

        Span<byte> low = stackalloc byte[4], high = stackalloc byte[4];
        new System.Text.Rune(first).EncodeToUtf8(low);
        new System.Text.Rune(last).EncodeToUtf8(high);
        var bytes = new Fragment[length];
        for (var i = 0; i < length; i++)
            bytes[i] = nodes.Range(low[i], high[i]);
        parts.Add(nodes.Sequence(bytes));
    }
}
