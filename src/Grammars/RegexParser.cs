using System.Globalization;
using System.Text;

namespace LocalLlm.Grammars;

/// <summary>Reads a regular expression. \d and \w are ASCII's, \s and . are ECMAScript's; a lazy quantifier reads as a greedy one. What a finite automaton cannot do (look-around, back references, word borders) is refused.</summary>
internal sealed class RegexParser
{
    /// <summary>The highest code point.</summary>
    public const int LastCodePoint = 0x10FFFF;

    private const int MaxPatternLength = 32_768;
    private const int MaxRepetitions = 10_000;
    private const int MaxNesting = 200;
    private const int MaxHexDigits = 8;

    private static readonly (int First, int Last)[] DigitRanges = [('0', '9')];
    private static readonly (int First, int Last)[] WordRanges = [('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')];
    private static readonly (int First, int Last)[] SpaceRanges =
    [('\t', '\r'), (' ', ' '), (0xA0, 0xA0), (0x1680, 0x1680), (0x2000, 0x200A), (0x2028, 0x2029), (0x202F, 0x202F), (0x205F, 0x205F), (0x3000, 0x3000), (0xFEFF, 0xFEFF)];

    private readonly Rune[] _pattern;
    private int _at;
    private int _nesting;

    private RegexParser(string pattern) => _pattern = [.. pattern.EnumerateRunes()];

    /// <summary>A pattern.</summary>
    /// <exception cref="GrammarException">It is malformed, or has what this does not do; the message says where.</exception>
    public static RegexSyntax Parse(string pattern)
    {
        var parser = Begin(pattern);
        var whole = parser.Alternatives();
        return parser._at == parser._pattern.Length ? whole : throw parser.Wrong("unexpected ')'");
    }

    private static RegexParser Begin(string pattern) =>
        pattern.Length <= MaxPatternLength ? new(pattern) : throw new GrammarException($"the pattern has {pattern.Length} characters; at most {MaxPatternLength}");

    private RegexSyntax Alternatives()
    {
        if (++_nesting > MaxNesting)
            throw Wrong($"groups are nested deeper than {MaxNesting}");
        var parts = new List<RegexSyntax> { Sequence() };
        while (TryTake('|'))
            parts.Add(Sequence());
        _nesting--;
        return parts.Count == 1 ? parts[0] : new RegexSyntax.Either(parts);
    }

    private RegexSyntax.Sequence Sequence()
    {
        var parts = new List<RegexSyntax>();
        while (_at < _pattern.Length && !Is('|') && !Is(')'))
            parts.Add(Quantified(Atom()));
        return new(parts);
    }

    private RegexSyntax Quantified(RegexSyntax atom)
    {
        if (Quantifier() is not var (least, most))
            return atom;
        TryTake('?'); // lazy
        if (Is('+'))
            throw Wrong("possessive quantifiers are not possible");
        var end = _at;
        if (Is('*') || Is('?') || Quantifier() is not null)
        {
            _at = end;
            throw Wrong("a quantifier follows a quantifier: put the first into a group");
        }

        return new RegexSyntax.Repeat(atom, least, most);
    }

    private (int Least, int? Most)? Quantifier()
    {
        if (TryTake('*'))
            return (0, null);
        if (TryTake('+'))
            return (1, null);
        if (TryTake('?'))
            return (0, 1);
        if (!Is('{'))
            return null;
        var start = _at++;
        if (Number() is not { } least)
        {
            // A brace that begins no quantifier is a brace; {,3} is one in some dialects and text in others.
            if (Is(',') && _at + 1 < _pattern.Length && Rune.IsDigit(_pattern[_at + 1]))
                throw Wrong("write {0,…} for a quantifier without a lower bound, and \\{ for the text");
            _at = start;
            return null;
        }

        int? most = least;
        if (TryTake(','))
            most = Number();
        if (!TryTake('}'))
        {
            _at = start;
            return null;
        }

        return most is null || most >= least ? (least, most) : throw Wrong($"the quantifier {{{least},{most}}} is the wrong way round");
    }

    private bool IsQuantifierAhead()
    {
        var start = _at--;
        var found = Quantifier() is not null;
        _at = start;
        return found;
    }

    private int? Number()
    {
        var value = 0;
        var start = _at;
        while (_at < _pattern.Length && _pattern[_at].Value is >= '0' and <= '9')
        {
            value = (value * 10) + _pattern[_at++].Value - '0';
            if (value > MaxRepetitions)
                throw Wrong($"more than {MaxRepetitions} repetitions");
        }

        return _at == start ? null : value;
    }

    private RegexSyntax Atom()
    {
        var character = _pattern[_at++].Value;
        switch (character)
        {
            case '(':
                Group();
                var inner = Alternatives();
                return TryTake(')') ? inner : throw Wrong("')' is missing");
            case '[':
                return new RegexSyntax.Characters(Class());
            case '.':
                return new RegexSyntax.Characters([(0, '\n' - 1), ('\n' + 1, '\r' - 1), ('\r' + 1, 0x2027), (0x202A, LastCodePoint)]);
            case '\\':
                return new RegexSyntax.Characters(Escape(inClass: false));
            case '*' or '+' or '?':
                throw Wrong("a quantifier has nothing to repeat");
            case '{' when IsQuantifierAhead():
                throw Wrong("a quantifier has nothing to repeat");
            case '^' or '$':
                return new RegexSyntax.Anchor(character == '^');
            default:
                return new RegexSyntax.Characters([(character, character)]);
        }
    }

    private void Group()
    {
        if (!TryTake('?'))
            return;
        if (TryTake(':'))
            return;
        TryTake('P');
        if (TryTake('<') && !Is('=') && !Is('!'))
        {
            while (_at < _pattern.Length && !Is('>'))
                _at++;
            if (TryTake('>'))
                return;
        }

        throw Wrong("look-around, back references and inline options are not possible");
    }

    private List<(int First, int Last)> Class()
    {
        var negated = TryTake('^');
        var ranges = new List<(int First, int Last)>();
        for (var first = true; first || !Is(']'); first = false)
        {
            if (_at >= _pattern.Length)
                throw Wrong("']' is missing");
            var item = ClassItem();
            if (item is [var (low, high)] && low == high && Is('-') && _at + 1 < _pattern.Length && _pattern[_at + 1].Value != ']')
            {
                _at++;
                var end = ClassItem();
                if (end is not [var (endLow, endHigh)] || endLow != endHigh || endLow < low)
                    throw Wrong("a range in a class is the wrong way round, or ends in a class");
                ranges.Add((low, endLow));
            }
            else
            {
                ranges.AddRange(item);
            }
        }

        _at++;
        return negated ? Complement(ranges) : Merged(ranges);
    }

    private (int First, int Last)[] ClassItem()
    {
        var character = _pattern[_at++].Value;
        return character == '\\' ? Escape(inClass: true) : [(character, character)];
    }

    private (int First, int Last)[] Escape(bool inClass)
    {
        if (_at >= _pattern.Length)
            throw Wrong("the pattern ends in a backslash");
        var character = _pattern[_at++].Value;
        switch (character)
        {
            case 'd':
                return DigitRanges;
            case 'w':
                return WordRanges;
            case 's':
                return SpaceRanges;
            case 'D':
                return [.. Complement(DigitRanges)];
            case 'W':
                return [.. Complement(WordRanges)];
            case 'S':
                return [.. Complement(SpaceRanges)];
            case 'b' when inClass:
                return One('\b');
            case 'n':
                return One('\n');
            case 'r':
                return One('\r');
            case 't':
                return One('\t');
            case 'f':
                return One('\f');
            case 'v':
                return One('\v');
            case '0':
                return One(0);
            case 'x':
                return One(Hex(2));
            case 'u':
                return One(Hex(4));
            case (>= 'a' and <= 'z') or (>= 'A' and <= 'Z') or (>= '1' and <= '9'):
                throw Wrong($"\\{(char)character} is not possible");
            default:
                return One(character);
        }

        static (int First, int Last)[] One(int value) => [(value, value)];
    }

    private int Hex(int digits)
    {
        if (TryTake('{'))
        {
            var end = Array.FindIndex(_pattern, _at, rune => rune.Value == '}');
            if (end < 0)
                throw Wrong("'}' is missing");
            digits = end - _at;
            var wide = Hex(digits);
            _at++;
            return wide;
        }

        if (_at + digits > _pattern.Length || digits == 0)
            throw Wrong("hexadecimal digits are missing");
        if (digits > MaxHexDigits)
            throw Wrong($"more than {MaxHexDigits} hexadecimal digits");
        var text = string.Concat(_pattern.Skip(_at).Take(digits).Select(rune => rune.ToString()));
        _at += digits;
        return int.TryParse(text, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var value) && Rune.IsValid(value)
            ? value
            : throw Wrong($"'{text}' names no character");
    }

    private static List<(int First, int Last)> Merged(IEnumerable<(int First, int Last)> ranges)
    {
        var merged = new List<(int First, int Last)>();
        foreach (var range in ranges.Order())
        {
            if (merged.Count > 0 && range.First <= merged[^1].Last + 1)
                merged[^1] = (merged[^1].First, Math.Max(merged[^1].Last, range.Last));
            else
                merged.Add(range);
        }

        return merged;
    }

    private List<(int First, int Last)> Complement(IEnumerable<(int First, int Last)> ranges)
    {
        var rest = new List<(int First, int Last)>();
        var next = 0;
        foreach (var (first, last) in Merged(ranges))
        {
            if (first > next)
                rest.Add((next, first - 1));
            next = last + 1;
        }

        if (next <= LastCodePoint)
            rest.Add((next, LastCodePoint));
        return rest.Count > 0 ? rest : throw Wrong("a class allows nothing");
    }

    private bool Is(char character) => _at < _pattern.Length && _pattern[_at].Value == character;

    private bool TryTake(char character)
    {
        if (!Is(character))
            return false;
        _at++;
        return true;
    }

    private GrammarException Wrong(string message) => new($"at character {_at}, {message}");
}
