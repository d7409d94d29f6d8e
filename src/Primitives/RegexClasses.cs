using System.Globalization;
using System.Text;

namespace LocalLlm.Primitives;

/// <summary>Parses expressions for one code point or a set: <c>[…]</c>, <c>\p{…}</c> and the other escapes.</summary>
internal static class RegexClasses
{
    private const int MaxNesting = 20;
    private const int MaxHexDigits = 8;

    private static readonly CodePointSet AsciiDigits = CodePointSet.Of([('0', '9')]);
    private static readonly CodePointSet AsciiWord = CodePointSet.Of([('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')]);
    private static readonly CodePointSet EcmaScriptSpace = CodePointSet.Of(
        [
            ('\t', '\r'), (' ', ' '), (0xA0, 0xA0), (0x1680, 0x1680), (0x2000, 0x200A), (0x2028, 0x2029), (0x202F, 0x202F), (0x205F, 0x205F),
            (0x3000, 0x3000), (0xFEFF, 0xFEFF),
        ]);

    private static readonly CodePointSet UnicodeDigits = CodePointSet.Categories(1u << (int)UnicodeCategory.DecimalDigitNumber);
    private static readonly CodePointSet UnicodeWord = CodePointSet.Where(CodePoints.IsWord);
    private static readonly CodePointSet UnicodeSpace = CodePointSet.Where(CodePoints.IsSpace);
    private static readonly CodePointSet HexDigits = CodePointSet.Of([('0', '9'), ('A', 'F'), ('a', 'f')]);

    /// <summary>Parses a class. The reader is behind the class's '[' before and behind its ']' afterwards.</summary>
    public static CodePointSet Class(RegexReader reader, bool ignoreCase) => Class(reader, ignoreCase, 1);

    /// <summary>Parses an escape (the reader is behind its backslash): one code point, or a set.</summary>
    public static (int CodePoint, CodePointSet? Set) Escape(RegexReader reader, bool inClass)
    {
        if (reader.AtEnd)
            throw reader.Wrong("the pattern ends in a backslash");
        var isOniguruma = reader.Dialect == RegexDialect.Oniguruma;
        var character = reader.Take();
        return character switch
        {
            'd' or 'D' => (0, Shorthand(isOniguruma ? UnicodeDigits : AsciiDigits, character == 'D')),
            'w' or 'W' => (0, Shorthand(isOniguruma ? UnicodeWord : AsciiWord, character == 'W')),
            's' or 'S' => (0, Shorthand(isOniguruma ? UnicodeSpace : EcmaScriptSpace, character == 'S')),
            'h' or 'H' when isOniguruma => (0, Shorthand(HexDigits, character == 'H')),
            'p' or 'P' when isOniguruma => (0, Property(reader, isNegated: character == 'P')),
            'n' => ('\n', null),
            'r' => ('\r', null),
            't' => ('\t', null),
            'f' => ('\f', null),
            'v' => ('\v', null),
            'a' when isOniguruma => ('\a', null),
            'e' when isOniguruma => ('\e', null),
            'b' when !isOniguruma && inClass => ('\b', null),
            '0' when !isOniguruma => (0, null),
            'x' => (Hex(reader, 2), null),
            'u' => (Hex(reader, 4), null),
            (>= 'a' and <= 'z') or (>= 'A' and <= 'Z') or (>= '0' and <= '9') => throw reader.Wrong($"\\{(char)character} is not possible"),
            _ => (character, null),
        };
    }

    private static CodePointSet Shorthand(CodePointSet set, bool isNegated) => isNegated ? set.Negated() : set;

    private static CodePointSet Property(RegexReader reader, bool isNegated)
    {
        var length = reader.TryTake('{') ? reader.DistanceTo('}') : -1;
        if (length < 0)
            throw reader.Wrong("\\p needs {…} behind it");
        var name = reader.Ahead(length);
        reader.At += length + 1;
        if (name.StartsWith('^'))
        {
            isNegated = !isNegated;
            name = name[1..];
        }

        if (GeneralCategories.Find(name) is not { } categories)
            throw reader.Wrong($"the property \\p{{{JsonField.Shorten(name)}}} is not supported");
        return CodePointSet.Categories(isNegated ? ~categories : categories);
    }

    private static int Hex(RegexReader reader, int digits)
    {
        var isBraced = reader.TryTake('{');
        if (isBraced && (digits = reader.DistanceTo('}')) < 0)
            throw reader.Wrong("'}' is missing");
        var text = reader.Ahead(Math.Min(digits, MaxHexDigits + 1));
        if (text.Length > MaxHexDigits)
            throw reader.Wrong($"more than {MaxHexDigits} hexadecimal digits");
        if (text.Length == 0 || text.EnumerateRunes().Count() < digits)
            throw reader.Wrong("hexadecimal digits are missing");
        reader.At += digits + (isBraced ? 1 : 0);
        return int.TryParse(text, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var value) && IsCharacter(value)
            ? value
            : throw reader.Wrong($"'{JsonField.Shorten(text)}' names no character");

        // For Oniguruma half of a surrogate pair is a character.
        bool IsCharacter(int codePoint) =>
            reader.Dialect == RegexDialect.EcmaScript ? Rune.IsValid(codePoint) : codePoint is >= 0 and <= CodePoints.Last;
    }

    private static CodePointSet Class(RegexReader reader, bool ignoreCase, int nesting)
    {
        if (nesting > MaxNesting)
            throw reader.Wrong($"classes are nested deeper than {MaxNesting}");
        var isOniguruma = reader.Dialect == RegexDialect.Oniguruma;
        var isNegated = reader.TryTake('^');
        CodePointSet? all = null;
        var sets = new List<CodePointSet>();
        for (var isFirst = true; isFirst || !reader.Is(']'); isFirst = false)
        {
            if (reader.AtEnd)
                throw reader.Wrong("']' is missing");
            if (isOniguruma && reader.Is('['))
            {
                if (reader.Is(':', 1) || reader.Is('.', 1) || reader.Is('=', 1))
                    throw reader.Wrong($"the bracket expression \"{reader.Ahead(2)}\" is not supported");
                reader.At++;
                sets.Add(Class(reader, ignoreCase, nesting + 1));
            }
            else if (isOniguruma && reader.TryTake("&&"))
            {
                all = Intersect(reader, all, sets);
                sets = [];
            }
            else
            {
                sets.Add(Item(reader));
            }
        }

        reader.At++;
        all = Intersect(reader, all, sets);
        if (ignoreCase)
            all = all.IgnoringCase();
        if (!isNegated)
            return all;
        all = all.Negated();
        // Nothing could match this class: a grammar must never reach it.
        return isOniguruma || all.Ranges.Count > 0 ? all : throw reader.Wrong("a class allows nothing");
    }

    private static CodePointSet Intersect(RegexReader reader, CodePointSet? all, List<CodePointSet> sets)
    {
        if (sets.Count == 0)
            throw reader.Wrong("an empty class is not supported");
        var more = CodePointSet.AnyOf(sets);
        return all is null ? more : all.And(more);
    }

    // One code point, one range, or one escape that is a set.
    private static CodePointSet Item(RegexReader reader)
    {
        var (first, set) = Single(reader);
        if (set is not null)
            return set;
        if (!reader.Is('-') || reader.IsEndAfterOne || reader.Is(']', 1) || (reader.Dialect == RegexDialect.Oniguruma && reader.Is('[', 1)))
            return CodePointSet.Of([(first, first)]);
        reader.At++;
        var (last, none) = Single(reader);
        return none is null && last >= first
            ? CodePointSet.Of([(first, last)])
            : throw reader.Wrong("a range in a class is the wrong way round, or ends in a class");
    }

    private static (int CodePoint, CodePointSet? Set) Single(RegexReader reader) =>
        reader.TryTake('\\') ? Escape(reader, inClass: true) : (reader.Take(), null);
}
