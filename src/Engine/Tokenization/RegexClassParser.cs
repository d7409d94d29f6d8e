using System.Globalization;

namespace LocalLlm.Tokenization;

/// <summary>Parses what stands for a set of code points: <c>[…]</c>, <c>\p{…}</c> and the other escapes.</summary>
internal static class RegexClassParser
{
    private const int MaxNesting = 20;

    private static readonly Dictionary<string, uint> Categories = new(StringComparer.OrdinalIgnoreCase)
    {
        ["L"] = CodePoints.Letter, ["Letter"] = CodePoints.Letter,
        ["M"] = CodePoints.Mark, ["Mark"] = CodePoints.Mark,
        ["N"] = CodePoints.Number, ["Number"] = CodePoints.Number,
        ["P"] = CodePoints.Punctuation, ["Punctuation"] = CodePoints.Punctuation,
        ["S"] = CodePoints.Symbol, ["Symbol"] = CodePoints.Symbol,
        ["Z"] = CodePoints.Separator, ["Separator"] = CodePoints.Separator,
        ["C"] = CodePoints.Other, ["Other"] = CodePoints.Other,
        ["Lu"] = Bit(UnicodeCategory.UppercaseLetter), ["Ll"] = Bit(UnicodeCategory.LowercaseLetter),
        ["Lt"] = Bit(UnicodeCategory.TitlecaseLetter), ["Lm"] = Bit(UnicodeCategory.ModifierLetter),
        ["Lo"] = Bit(UnicodeCategory.OtherLetter), ["Mn"] = Bit(UnicodeCategory.NonSpacingMark),
        ["Mc"] = Bit(UnicodeCategory.SpacingCombiningMark), ["Me"] = Bit(UnicodeCategory.EnclosingMark),
        ["Nd"] = Bit(UnicodeCategory.DecimalDigitNumber), ["Nl"] = Bit(UnicodeCategory.LetterNumber),
        ["No"] = Bit(UnicodeCategory.OtherNumber), ["Pc"] = Bit(UnicodeCategory.ConnectorPunctuation),
        ["Pd"] = Bit(UnicodeCategory.DashPunctuation), ["Ps"] = Bit(UnicodeCategory.OpenPunctuation),
        ["Pe"] = Bit(UnicodeCategory.ClosePunctuation), ["Pi"] = Bit(UnicodeCategory.InitialQuotePunctuation),
        ["Pf"] = Bit(UnicodeCategory.FinalQuotePunctuation), ["Po"] = Bit(UnicodeCategory.OtherPunctuation),
        ["Sm"] = Bit(UnicodeCategory.MathSymbol), ["Sc"] = Bit(UnicodeCategory.CurrencySymbol),
        ["Sk"] = Bit(UnicodeCategory.ModifierSymbol), ["So"] = Bit(UnicodeCategory.OtherSymbol),
        ["Zs"] = Bit(UnicodeCategory.SpaceSeparator), ["Zl"] = Bit(UnicodeCategory.LineSeparator),
        ["Zp"] = Bit(UnicodeCategory.ParagraphSeparator), ["Cc"] = Bit(UnicodeCategory.Control),
        ["Cf"] = Bit(UnicodeCategory.Format), ["Co"] = Bit(UnicodeCategory.PrivateUse),
        ["Cs"] = Bit(UnicodeCategory.Surrogate), ["Cn"] = Bit(UnicodeCategory.OtherNotAssigned),
    };

    /// <summary>Parses a class; <paramref name="at"/> stands behind its '[' and ends behind its ']'.</summary>
    public static CodePointSet Parse(string text, ref int at, bool ignoreCase) => Parse(text, ref at, ignoreCase, 1);

    /// <summary>Parses an escape at its backslash: one code point, or a set (then <paramref name="set"/> is given).</summary>
    public static int Escape(string text, ref int at, out CodePointSet? set)
    {
        set = null;
        if (at + 1 >= text.Length)
            throw Fail(at, "a '\\' at the end");
        var c = CodePoints.At(text, at + 1, out var width);
        at += 1 + width;
        switch (c)
        {
            case 'p' or 'P':
                set = Property(text, ref at, negated: c == 'P');
                return 0;
            case 's' or 'S':
                set = Shorthand(CodePoints.IsSpace, c == 'S');
                return 0;
            case 'd' or 'D':
                set = Shorthand(x => CodePoints.Is(x, Bit(UnicodeCategory.DecimalDigitNumber)), c == 'D');
                return 0;
            case 'w' or 'W':
                set = Shorthand(CodePoints.IsWord, c == 'W');
                return 0;
            case 'h' or 'H':
                set = Shorthand(x => x < 128 && char.IsAsciiHexDigit((char)x), c == 'H');
                return 0;
            case 'n':
                return '\n';
            case 'r':
                return '\r';
            case 't':
                return '\t';
            case 'f':
                return '\f';
            case 'v':
                return '\v';
            case 'a':
                return '\a';
            case 'e':
                return 0x1B;
            case 'x':
                return Hex(text, ref at, 2);
            case 'u':
                return Hex(text, ref at, 4);
            case < 128 when char.IsAsciiLetterOrDigit((char)c):
                throw Fail(at, $"the escape \\{(char)c}");
            default:
                return c;
        }
    }

    private static uint Bit(UnicodeCategory category) => 1u << (int)category;

    private static CodePointSet Shorthand(Func<int, bool> predicate, bool negated) =>
        CodePointSet.Where(negated ? c => !predicate(c) : predicate);

    private static CodePointSet Property(string text, ref int at, bool negated)
    {
        var close = at < text.Length && text[at] == '{' ? text.IndexOf('}', at) : -1;
        if (close < 0)
            throw Fail(at, "\\p without {…}");
        var name = text[(at + 1)..close];
        at = close + 1;
        if (name.StartsWith('^'))
        {
            negated = !negated;
            name = name[1..];
        }

        if (!Categories.TryGetValue(name, out var categories))
            throw Fail(at, $"the property \\p{{{JsonField.Shorten(name)}}}");
        return CodePointSet.Categories(negated ? ~categories : categories);
    }

    private static int Hex(string text, ref int at, int digits)
    {
        var end = at + digits;
        var start = at;
        if (at < text.Length && text[at] == '{')
        {
            end = text.IndexOf('}', at);
            start = at + 1;
        }

        if (end < 0 || end > text.Length || end - start is 0 or > 8
            || !int.TryParse(text.AsSpan(start, end - start), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var value)
            || value is < 0 or > 0x10FFFF)
            throw Fail(at, "this escape by number");
        at = start > at ? end + 1 : end;
        return value;
    }

    private static CodePointSet Parse(string text, ref int at, bool ignoreCase, int nesting)
    {
        if (nesting > MaxNesting)
            throw Fail(at, $"classes nested deeper than {MaxNesting}");
        var negated = at < text.Length && text[at] == '^';
        if (negated)
            at++;
        CodePointSet? all = null;
        var sets = new List<CodePointSet>();
        for (var first = true; ; first = false)
        {
            if (at >= text.Length)
                throw Fail(at, "a class without its ']'");
            if (text[at] == ']' && !first)
            {
                at++;
                break;
            }

            if (text[at] == '[')
            {
                if (at + 1 < text.Length && text[at + 1] is ':' or '.' or '=')
                    throw Fail(at, $"the bracket expression \"[{text[at + 1]}\"");
                at++;
                sets.Add(Parse(text, ref at, ignoreCase, nesting + 1));
            }
            else if (text.AsSpan(at).StartsWith("&&", StringComparison.Ordinal))
            {
                at += 2;
                all = Intersect(all, sets, at);
                sets = [];
            }
            else
            {
                sets.Add(Item(text, ref at));
            }
        }

        all = Intersect(all, sets, at);
        if (ignoreCase)
            all = all.IgnoringCase();
        return negated ? all.Negated() : all;
    }

    private static CodePointSet Intersect(CodePointSet? all, List<CodePointSet> sets, int at)
    {
        if (sets.Count == 0)
            throw Fail(at, "an empty class");
        var more = CodePointSet.AnyOf(sets);
        return all is null ? more : all.And(more);
    }

    /// <summary>One code point, one range, or one escape that is a set.</summary>
    private static CodePointSet Item(string text, ref int at)
    {
        var first = Single(text, ref at, out var set);
        if (set is not null)
            return set;
        if (at + 1 < text.Length && text[at] == '-' && text[at + 1] is not (']' or '['))
        {
            at++;
            var last = Single(text, ref at, out set);
            if (set is not null || last < first)
                throw Fail(at, "this range in a class");
            return CodePointSet.Range(first, last);
        }

        return CodePointSet.Range(first, first);
    }

    private static int Single(string text, ref int at, out CodePointSet? set)
    {
        if (text[at] == '\\')
            return Escape(text, ref at, out set);
        set = null;
        var c = CodePoints.At(text, at, out var width);
        at += width;
        return c;
    }

    private static FormatException Fail(int at, string what) => new($"{what} (at {at}) is not supported");
}
