using System.Text;

namespace LocalLlm.Grammars;

/// <summary>JSON strings with given characters: keys, constants, patterns.</summary>
internal sealed class JsonSchemaText(GrammarNodes nodes)
{
    private const int FirstPlain = 0x20;
    private const int LastAscii = 0x7F; // a control character that needs no escape
    private const int LastCodePoint = 0x10FFFF;

    private static readonly (int Character, string Escape)[] ShortEscapes = [('"', "\\\""), ('\\', "\\\\"), ('\n', "\\n"), ('\r', "\\r"), ('\t', "\\t"), ('\b', "\\b"), ('\f', "\\f")];

    /// <summary>Any character.</summary>
    public Fragment AnyCharacter() => Character([(0, LastCodePoint)]);

    /// <summary>One character of some ranges as a string contains it: unescaped, or with the escape that it needs.</summary>
    public Fragment Character(IEnumerable<(int First, int Last)> ranges)
    {
        var parts = new List<Fragment>();
        var plain = new List<(int First, int Last)>();
        foreach (var (first, last) in ranges)
        {
            foreach (var (begin, end) in ((int, int)[])[(FirstPlain, '"' - 1), ('"' + 1, '\\' - 1), ('\\' + 1, LastCodePoint)])
            {
                if (Math.Max(first, begin) <= Math.Min(last, end))
                    plain.Add((Math.Max(first, begin), Math.Min(last, end)));
            }

            foreach (var (character, escape) in ShortEscapes)
            {
                if (character >= first && character <= last)
                    parts.Add(nodes.Literal(escape));
            }

            for (var control = first; control <= Math.Min(last, FirstPlain - 1); control = (control | 15) + 1)
                parts.Add(Control(control, Math.Min(last, control | 15)));
        }

        // Utf8Ranges refuses ranges that contain only surrogates.
        if (plain.Count > 0 || parts.Count == 0)
            parts.Add(Utf8Ranges.Add(nodes, plain));
        return nodes.Either([.. parts]);
    }

    /// <summary>A text as <see cref="Character"/> writes it, without quotes.</summary>
    public Fragment Characters(string text) => nodes.Sequence([nodes.Nothing(), .. text.EnumerateRunes().Select(rune => Character([(rune.Value, rune.Value)]))]);

    /// <summary>A text as <see cref="Characters"/> writes it, in UTF-8.</summary>
    public static byte[] Written(string text)
    {
        var written = new StringBuilder();
        foreach (var rune in text.EnumerateRunes())
        {
            var escape = Array.Find(ShortEscapes, pair => pair.Character == rune.Value).Escape;
            written.Append(escape ?? (rune.Value < FirstPlain ? string.Create(System.Globalization.CultureInfo.InvariantCulture, $"\\u{rune.Value:x4}") : rune.ToString()));
        }

        return Encoding.UTF8.GetBytes(written.ToString());
    }

    /// <summary>A string with this text, quotes included; characters beyond ASCII may also be \u escapes.</summary>
    public Fragment String(string text)
    {
        var parts = new List<Fragment>();
        var plain = new StringBuilder("\"");
        foreach (var rune in text.EnumerateRunes())
        {
            if (IsPlainAscii(rune.Value) && rune.Value != '/')
            {
                plain.Append((char)rune.Value);
                continue;
            }

            if (plain.Length > 0)
                parts.Add(nodes.Literal(plain.ToString()));
            plain.Clear();
            var character = Character([(rune.Value, rune.Value)]);
            parts.Add(rune.IsAscii ? rune.Value == '/' ? nodes.Either(character, nodes.Literal("\\/")) : character : nodes.Either(character, Numbered(rune)));
        }

        parts.Add(nodes.Literal(plain.Append('"').ToString()));
        return nodes.Sequence([.. parts]);
    }

    /// <summary>
    /// Any string except the given names, quotes included. Characters are written only as <see cref="Character"/> writes them, so
    /// no name can appear in another spelling.
    /// </summary>
    public Fragment StringOtherThan(IReadOnlyCollection<string> names)
    {
        var end = nodes.Nothing();
        var free = nodes.Nothing();
        nodes.Connect(free.Start, Character([(0, LastCodePoint)]), free.Start);
        nodes.Connect(free.Start, nodes.Literal("\""), end.Start);
        var root = nodes.Literal("\"");

        // Characters that few names begin with; one fragment serves all positions of the names.
        var special = Character([(0, FirstPlain - 1), ('"', '"'), ('\\', '\\'), (LastAscii, LastCodePoint)]);
        nodes.Connect(special.End, free.Start);
        AddNames(root.End, [.. names.Select(name => name.EnumerateRunes().ToArray())], 0, free.Start, special.Start, end.Start);
        return new(root.Start, end.Start);
    }

    // From a node where all of the names have matched so far: continue along them, or leave them.
    private void AddNames(int node, List<Rune[]> names, int depth, int free, int special, int end)
    {
        if (!names.Exists(name => name.Length == depth))
            nodes.Connect(node, (byte)'"', (byte)'"', end);
        var groups = names.Where(name => name.Length > depth).GroupBy(name => name[depth].Value).OrderBy(group => group.Key).ToArray();
        var isPlain = Array.TrueForAll(groups, group => IsPlainAscii(group.Key));
        var others = new List<(int First, int Last)>();
        var next = 0;
        foreach (var group in groups)
        {
            if (group.Key > next)
                others.Add((next, group.Key - 1));
            next = group.Key + 1;
            var step = isPlain ? nodes.Nothing() : Character([(group.Key, group.Key)]);
            if (isPlain)
                nodes.Connect(node, (byte)group.Key, (byte)group.Key, step.Start);
            else
                nodes.Connect(node, step.Start);
            AddNames(step.End, [.. group], depth + 1, free, special, end);
        }

        others.Add((next, LastCodePoint));
        if (!isPlain)
        {
            nodes.Connect(node, Character(others), free);
            return;
        }

        nodes.Connect(node, special);
        foreach (var (first, last) in others)
        {
            foreach (var (begin, finish) in ((int, int)[])[(FirstPlain, '"' - 1), ('"' + 1, '\\' - 1), ('\\' + 1, LastAscii - 1)])
            {
                if (Math.Max(first, begin) <= Math.Min(last, finish))
                    nodes.Connect(node, (byte)Math.Max(first, begin), (byte)Math.Min(last, finish), free);
            }
        }
    }

    private static bool IsPlainAscii(int character) => character is >= FirstPlain and < LastAscii and not ('"' or '\\');

    private Fragment Numbered(Rune rune) => nodes.Sequence([.. rune.ToString().Select(unit => Unicode(unit))]);

    // Control characters as \u escapes, which all begin with the same digit.
    private Fragment Control(int first, int last)
    {
        var digits = new List<Fragment>();
        foreach (var (low, high, letter) in ((int, int, char)[])[(0, 9, '0'), (10, 15, 'a'), (10, 15, 'A')])
        {
            if (Math.Max(first & 15, low) is var from && Math.Min(last & 15, high) is var to && from <= to)
                digits.Add(nodes.Range((byte)(letter + from - low), (byte)(letter + to - low)));
        }

        return nodes.Sequence(nodes.Literal(first < 16 ? "\\u000" : "\\u001"), nodes.Either([.. digits]));
    }

    private Fragment Unicode(int unit) => nodes.Sequence([nodes.Literal("\\u"), .. unit.ToString("x4", System.Globalization.CultureInfo.InvariantCulture).Select(digit =>
        char.IsAsciiLetter(digit) ? nodes.Either(nodes.Literal(digit.ToString()), nodes.Literal(char.ToUpperInvariant(digit).ToString())) : nodes.Literal(digit.ToString()))]);
}
