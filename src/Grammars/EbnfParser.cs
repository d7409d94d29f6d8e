using System.Globalization;
using System.Text;
using LocalLlm.Primitives;

namespace LocalLlm.Grammars;

/// <summary>
/// Reads rules in the notation of llama.cpp's GBNF and vLLM's <c>grammar</c>: <c>root ::= "a" [0-9]+ (rest | "b")? # note</c>. It
/// supports texts in double or single quotes, classes as in regular expressions, <c>.</c> for any character, groups,
/// alternatives, and <c>* + ? {2} {2,} {2,5}</c>. A rule ends where the next one begins.
/// </summary>
internal sealed class EbnfParser
{
    private const int MaxLength = 1 << 18;
    private const int MaxNesting = 100;
    private const int MaxRepetitions = 10_000;
    private const int MaxRules = 1_000;

    private readonly string _text;
    private int _at;
    private int _nesting;

    private EbnfParser(string text) => _text = text;

    /// <summary>The rules by name.</summary>
    /// <exception cref="GrammarException">The text is malformed; the message says in which line.</exception>
    public static Dictionary<string, RegexNode> Parse(string text)
    {
        if (text.Length > MaxLength)
            throw new GrammarException($"the grammar has {text.Length} characters; at most {MaxLength}");
        var parser = new EbnfParser(text);
        var rules = new Dictionary<string, RegexNode>(StringComparer.Ordinal);
        parser.SkipSpace();
        while (parser._at < text.Length)
        {
            var name = parser.RuleAhead() ?? throw parser.Wrong("a rule is expected: name ::= …");
            if (!rules.TryAdd(name, parser.Alternatives()))
                throw parser.Wrong($"the rule '{name}' is defined twice");
            if (rules.Count > MaxRules)
                throw parser.Wrong($"more than {MaxRules} rules");
        }

        return rules;
    }

    // The name of a rule that begins here; the name is consumed. Null: no rule begins here.
    private string? RuleAhead()
    {
        var start = _at;
        if (Name() is { } name)
        {
            SkipSpace();
            if (_text.AsSpan(_at).StartsWith("::=", StringComparison.Ordinal))
            {
                _at += 3;
                SkipSpace();
                return name;
            }
        }

        _at = start;
        return null;
    }

    private RegexNode Alternatives()
    {
        if (++_nesting > MaxNesting)
            throw Wrong($"groups are nested deeper than {MaxNesting}");
        var parts = new List<RegexNode> { Sequence() };
        while (TryTake('|'))
            parts.Add(Sequence());
        _nesting--;
        return parts.Count == 1 ? parts[0] : new RegexNode.Alternation(parts);
    }

    private RegexNode.Sequence Sequence()
    {
        var parts = new List<RegexNode>();
        while (_at < _text.Length && _text[_at] is not ('|' or ')'))
        {
            var before = _at;
            if (_nesting == 1 && RuleAhead() is not null)
            {
                _at = before;
                break;
            }

            parts.Add(Quantified(Atom()));
        }

        return new(parts);
    }

    private RegexNode Atom()
    {
        switch (_text[_at])
        {
            case '(':
                _at++;
                SkipSpace();
                var inner = Alternatives();
                return TryTake(')') ? inner : throw Wrong("')' is missing");
            case '"' or '\'':
                return Text(_text[_at]);
            case '[':
                return Class();
            case '.':
                _at++;
                SkipSpace();
                return new RegexNode.Set(CodePointSet.Of([(0, CodePoints.Last)]));
            default:
                var name = Name() ?? throw Wrong($"'{_text[_at]}' is unexpected; a text in quotes, a class, a group or the name of a rule is expected");
                SkipSpace();
                return new RuleReference(name);
        }
    }

    private RegexNode Quantified(RegexNode part)
    {
        if (!IsQuantifier())
            return part;
        var (least, most) = _text[_at++] switch { '*' => (0, (int?)null), '+' => (1, null), '?' => (0, 1), _ => Counts() };
        SkipSpace();
        return !IsQuantifier() ? new RegexNode.Repeat(part, least, most, Lazy: false) : throw Wrong("a quantifier follows a quantifier: put the first into a group");

        bool IsQuantifier() => _at < _text.Length && _text[_at] is '*' or '+' or '?' or '{';
    }

    private (int Least, int? Most) Counts()
    {
        var end = _text.IndexOf('}', _at);
        var parts = end < 0 ? [] : _text[_at..end].Split(',');
        if (parts.Length is not (1 or 2) || !Count(parts[0], out var least))
            throw Wrong("counts are written {2}, {2,} or {2,5}");
        _at = end + 1;
        if (parts.Length == 1)
            return (least, least);
        if (parts[1].Trim().Length == 0)
            return (least, null);
        return Count(parts[1], out var most) && most >= least ? (least, most) : throw Wrong("counts are written {2}, {2,} or {2,5}");

        bool Count(string digits, out int value) => int.TryParse(digits.Trim(), NumberStyles.None, CultureInfo.InvariantCulture, out value) && (value <= MaxRepetitions ? true : throw Wrong($"more than {MaxRepetitions} repetitions"));
    }

    private RegexNode.Sequence Text(char quote)
    {
        var characters = new List<RegexNode>();
        _at++;
        while (true)
        {
            if (_at >= _text.Length || _text[_at] == '\n')
                throw Wrong("a quotation mark is missing");
            if (_text[_at] == quote)
                break;
            var value = _text[_at] == '\\' ? Escape() : Plain();
            characters.Add(new RegexNode.Set(CodePointSet.Of([(value, value)])));
        }

        _at++;
        SkipSpace();
        return new(characters);
    }

    private int Plain()
    {
        if (!Rune.TryGetRuneAt(_text, _at, out var rune))
            throw Wrong("half of a character");
        _at += rune.Utf16SequenceLength;
        return rune.Value;
    }

    private int Escape()
    {
        var kind = _at + 1 < _text.Length ? _text[_at + 1] : '\0';
        _at += 2;
        var digits = kind switch { 'x' => 2, 'u' => 4, 'U' => 8, _ => 0 };
        if (digits == 0)
        {
            return kind switch
            {
                'n' => '\n', 'r' => '\r', 't' => '\t', '\\' or '"' or '\'' or '[' or ']' => kind,
                _ => throw Wrong($"\\{kind} is not possible; \\n, \\r, \\t, \\\\, \\\", \\x41, \\u0041 and \\U00000041 are"),
            };
        }

        if (_at + digits > _text.Length || !int.TryParse(_text.AsSpan(_at, digits), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var value) || !Rune.IsValid(value))
            throw Wrong($"\\{kind} needs {digits} hexadecimal digits that name a character");
        _at += digits;
        return value;
    }

    private RegexNode Class()
    {
        var end = _at + 1;
        while (end < _text.Length && _text[end] is not (']' or '\n'))
            end += _text[end] == '\\' ? 2 : 1;
        if (end >= _text.Length || _text[end] != ']')
            throw Wrong("']' is missing");
        try
        {
            var parsed = RegexParser.Parse(_text[_at..(end + 1)], RegexDialect.EcmaScript);
            _at = end + 1;
            SkipSpace();
            return parsed;
        }
        catch (RegexSyntaxException wrong)
        {
            throw Wrong(wrong.Message);
        }
    }

    private string? Name()
    {
        var start = _at;
        while (_at < _text.Length && (char.IsAsciiLetterOrDigit(_text[_at]) || _text[_at] is '_' or '-'))
            _at++;
        return _at > start && !char.IsAsciiDigit(_text[start]) && _text[start] != '-' ? _text[start.._at] : null;
    }

    private void SkipSpace()
    {
        while (_at < _text.Length)
        {
            if (_text[_at] == '#')
                _at = _text.IndexOf('\n', _at) is var end and >= 0 ? end : _text.Length;
            else if (char.IsWhiteSpace(_text[_at]))
                _at++;
            else
                return;
        }
    }

    private bool TryTake(char character)
    {
        if (_at >= _text.Length || _text[_at] != character)
            return false;
        _at++;
        SkipSpace();
        return true;
    }

    private GrammarException Wrong(string what) => new($"in line {_text.AsSpan(0, Math.Min(_at, _text.Length)).Count('\n') + 1}, {what}");
}
