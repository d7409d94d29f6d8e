using System.Globalization;

namespace LocalLlm.Tokenization;

/// <summary>
/// Parses the subset of Oniguruma's regular expressions that tokenizers use: alternation, groups, <c>(?i:…)</c>, lookahead,
/// atomic groups, greedy, lazy and possessive quantifiers, classes with <c>\p{…}</c>, nesting and <c>&amp;&amp;</c>, anchors.
/// Anything else is refused by name with a <see cref="FormatException"/>.
/// </summary>
internal sealed class RegexParser
{
    private const int MaxNesting = 50;
    private const int MaxRepeat = 1000;
    private readonly string _text;
    private int _at;
    private int _nesting;
    private bool _ignoreCase;

    private RegexParser(string text) => _text = text;

    private bool AtEnd => _at == _text.Length;

    public static RegexNode Parse(string text)
    {
        var parser = new RegexParser(text);
        var result = parser.ParseAlternation();
        return parser.AtEnd ? result : throw parser.Fail("an unmatched ')'");
    }

    private RegexNode ParseAlternation()
    {
        if (++_nesting > MaxNesting)
            throw Fail($"groups nested deeper than {MaxNesting}");
        var ignoreCase = _ignoreCase;
        var branches = new List<RegexNode> { ParseSequence() };
        while (TryTake("|"))
            branches.Add(ParseSequence());
        _nesting--;
        _ignoreCase = ignoreCase;
        return branches.Count == 1 ? branches[0] : new RegexNode.Alternation(branches);
    }

    private RegexNode.Sequence ParseSequence()
    {
        var parts = new List<RegexNode>();
        while (!AtEnd && _text[_at] is not ('|' or ')'))
            parts.Add(ParseQuantified());
        return new RegexNode.Sequence(parts);
    }

    private RegexNode ParseQuantified()
    {
        var node = ParseAtom();
        while (!AtEnd)
        {
            int min, max;
            var counted = false;
            if (TryTake("*"))
                (min, max) = (0, -1);
            else if (TryTake("+"))
                (min, max) = (1, -1);
            else if (TryTake("?"))
                (min, max) = (0, 1);
            else if (TryTakeCount(out min, out max))
                counted = true;
            else
                break;
            if (node is RegexNode.Anchor or RegexNode.Lookahead)
                throw Fail("a quantifier after a position");

            // After {n,m} a '+' is one more quantifier, not a possessive one; {n}? would mean "optional".
            if (TryTake("?"))
                node = counted && min == max ? throw Fail("the quantifier {n}?") : new RegexNode.Repeat(node, min, max, Lazy: true);
            else if (!counted && TryTake("+"))
                node = new RegexNode.Atomic(new RegexNode.Repeat(node, min, max, Lazy: false));
            else
                node = new RegexNode.Repeat(node, min, max, Lazy: false);
        }

        return node;
    }

    /// <summary><c>{n}</c>, <c>{n,}</c>, <c>{n,m}</c> or <c>{,m}</c>; anything else in braces is literal text.</summary>
    private bool TryTakeCount(out int min, out int max)
    {
        (min, max) = (0, -1);
        if (_text[_at] != '{')
            return false;
        var close = _text.IndexOf('}', _at);
        var body = close < 0 ? "" : _text[(_at + 1)..close];
        var comma = body.IndexOf(',', StringComparison.Ordinal);
        var low = comma < 0 ? body : body[..comma];
        var high = comma < 0 ? body : body[(comma + 1)..];
        if (body.Length == 0 || body == "," || !(low + high).All(char.IsAsciiDigit))
            return false;
        min = low.Length == 0 ? 0 : Count(low);
        max = high.Length == 0 ? -1 : Count(high);
        if (max >= 0 && max < min)
            throw Fail($"the quantifier {{{body}}}");
        _at = close + 1;
        return true;
    }

    private int Count(string digits) =>
        int.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out var count) && count <= MaxRepeat
            ? count
            : throw Fail($"a repetition count beyond {MaxRepeat}");

    private RegexNode ParseAtom()
    {
        var c = CodePoints.At(_text, _at, out var width);
        switch (c)
        {
            case '(':
                _at++;
                return ParseGroup();
            case '[':
                _at++;
                return new RegexNode.Set(RegexClassParser.Parse(_text, ref _at, _ignoreCase));
            case '\\':
                return ParseEscape();
            case '.':
                _at++;
                return new RegexNode.Set(CodePointSet.Where(x => x != '\n'));
            case '^':
                _at++;
                return new RegexNode.Anchor(RegexAnchor.LineStart);
            case '$':
                _at++;
                return new RegexNode.Anchor(RegexAnchor.LineEnd);
            case '*' or '+' or '?':
                throw Fail("a quantifier with nothing before it");
            default:
                _at += width;
                return Literal(c);
        }
    }

    private RegexNode.Set Literal(int c)
    {
        var set = CodePointSet.Range(c, c);
        return new(_ignoreCase ? set.IgnoringCase() : set);
    }

    private RegexNode ParseGroup()
    {
        var ignoreCase = _ignoreCase;
        RegexNode Body()
        {
            var body = ParseAlternation();
            _ignoreCase = ignoreCase;
            return TryTake(")") ? body : throw Fail("a group without its ')'");
        }

        if (TryTake("?:"))
            return Body();
        if (TryTake("?="))
            return new RegexNode.Lookahead(Body(), Negative: false);
        if (TryTake("?!"))
            return new RegexNode.Lookahead(Body(), Negative: true);
        if (TryTake("?>"))
            return new RegexNode.Atomic(Body());
        if (TryTake("?i:"))
        {
            _ignoreCase = true;
            return Body();
        }

        if (TryTake("?-i:"))
        {
            _ignoreCase = false;
            return Body();
        }

        // (?i) reaches to the end of the group around it.
        if (TryTake("?i)"))
        {
            _ignoreCase = true;
            return ParseAlternation();
        }

        if (!AtEnd && _text[_at] is '?' or '*')
            throw Fail($"the group \"({_text.Substring(_at, Math.Min(3, _text.Length - _at))}\"");
        return Body();
    }

    private RegexNode ParseEscape()
    {
        if (_at + 1 == _text.Length)
            throw Fail("a '\\' at the end");
        RegexAnchor? anchor = _text[_at + 1] switch
        {
            'A' => RegexAnchor.TextStart,
            'z' => RegexAnchor.TextEnd,
            'Z' => RegexAnchor.TextEndOrLastLineBreak,
            'b' => RegexAnchor.WordBorder,
            'B' => RegexAnchor.NoWordBorder,
            _ => null,
        };
        if (anchor is { } kind)
        {
            _at += 2;
            return new RegexNode.Anchor(kind);
        }

        return RegexClassParser.Escape(_text, ref _at, out var set) is var c && set is null ? Literal(c) : new RegexNode.Set(set);
    }

    private bool TryTake(string what)
    {
        if (!_text.AsSpan(_at).StartsWith(what, StringComparison.Ordinal))
            return false;
        _at += what.Length;
        return true;
    }

    private FormatException Fail(string what) => new($"{what} (at {_at}) is not supported");
}
