using LocalLlm.Jinja.Values;

namespace LocalLlm.Jinja.Syntax;

/// <summary>
/// Splits a template into tokens with the whitespace rules of chat templates (<c>trim_blocks</c>, <c>lstrip_blocks</c>, one
/// trailing newline dropped). It behaves like Jinja2's lexer, including its quirks.
/// </summary>
internal sealed class Lexer
{
    private readonly string _source;
    private readonly List<Token> _tokens = [];
    private readonly Stack<char> _balance = new();
    private int _pos;
    private int _line = 1;
    private bool _lineStarting = true;

    private Lexer(string source) => _source = source;

    public static List<Token> Tokenize(string template)
    {
        var source = template.Replace("\r\n", "\n", StringComparison.Ordinal).Replace('\r', '\n');
        if (source.EndsWith('\n'))
            source = source[..^1];
        var lexer = new Lexer(source);
        lexer.Root();
        lexer.Add(TokenType.Eof, "");
        return lexer._tokens;
    }

    private void Add(TokenType type, string text, object? number = null) => _tokens.Add(new Token(type, text, _line, number));

    private void Root()
    {
        while (_pos < _source.Length)
        {
            var tag = FindTag(_pos);
            if (tag < 0)
            {
                Add(TokenType.Data, _source[_pos..]);
                return;
            }

            var start = _pos;
            var rawEnd = _source[tag + 1] == '%' ? RawBegin(tag) : -1;
            var sign = tag + 2 < _source.Length && _source[tag + 2] is '-' or '+' ? _source[tag + 2] : '\0';
            Data(start, tag, sign, isVariable: _source[tag + 1] == '{');
            if (rawEnd >= 0)
            {
                MoveTo(tag, rawEnd);
                Raw();
                continue;
            }

            MoveTo(tag, tag + (sign == '\0' ? 2 : 3));
            switch (_source[tag + 1])
            {
                case '#':
                    Comment();
                    break;
                case '%':
                    Add(TokenType.BlockBegin, "");
                    Code(isBlock: true);
                    break;
                default:
                    Add(TokenType.VariableBegin, "");
                    Code(isBlock: false);
                    break;
            }
        }
    }

    private int FindTag(int from)
    {
        for (var i = from; (i = _source.IndexOf('{', i)) >= 0 && i + 1 < _source.Length; i++)
        {
            if (_source[i + 1] is '{' or '%' or '#')
                return i;
        }

        return -1;
    }

    // Emits the text before a tag, stripped as the tag's sign and lstrip_blocks require.
    private void Data(int start, int end, char sign, bool isVariable)
    {
        var text = _source[start..end];
        if (sign == '-')
        {
            text = PyText.TrimEnd(text);
        }
        else if (sign != '+' && !isVariable)
        {
            var lineStart = text.LastIndexOf('\n') + 1;
            if ((lineStart > 0 || _lineStarting) && lineStart < text.Length && PyText.IsSpace(text.AsSpan(lineStart)))
                text = text[..lineStart];
        }

        if (text.Length > 0)
            Add(TokenType.Data, text);
        MoveTo(start, end);
    }

    private void MoveTo(int from, int to)
    {
        _line += _source.AsSpan(from, to - from).Count('\n');
        _pos = to;
        if (to > from)
            _lineStarting = _source[to - 1] == '\n';
    }

    // Matches {%- raw -%} as one unit; returns the end of the match, or -1.
    private int RawBegin(int tag)
    {
        var i = tag + 2;
        if (i < _source.Length && _source[i] is '-' or '+')
            i++;
        i = SkipSpace(i);
        if (!At(i, "raw"))
            return -1;
        i = SkipSpace(i + 3);
        if (At(i, "-%}"))
            return SkipSpace(i + 3);
        return At(i, "%}") ? i + 2 : -1;
    }

    private void Raw()
    {
        if (_pos >= _source.Length)
            return;
        for (var i = _pos; (i = _source.IndexOf("{%", i, StringComparison.Ordinal)) >= 0; i++)
        {
            var k = i + 2;
            var sign = k < _source.Length && _source[k] is '-' or '+' ? _source[k++] : '\0';
            k = SkipSpace(k);
            if (!At(k, "endraw"))
                continue;
            var end = BlockEnd(SkipSpace(k + 6));
            if (end < 0)
                continue;
            Data(_pos, i, sign, isVariable: false);
            MoveTo(i, end);
            return;
        }

        throw TemplateException.Syntax("Missing end of raw directive", _line);
    }

    private void Comment()
    {
        if (_pos >= _source.Length)
            return;
        var end = _source.IndexOf("#}", _pos, StringComparison.Ordinal);
        if (end < 0)
            throw TemplateException.Syntax("Missing end of comment tag", _line);
        var after = end + 2;
        var sign = end > _pos ? _source[end - 1] : '\0';
        if (sign == '-')
            after = SkipSpace(after);
        else if (sign != '+' && after < _source.Length && _source[after] == '\n')
            after++;
        MoveTo(_pos, after);
    }

    private void Code(bool isBlock)
    {
        _balance.Clear();
        while (_pos < _source.Length)
        {
            var end = _balance.Count > 0 ? -1 : isBlock ? BlockEnd(_pos) : VariableEnd(_pos);
            if (end >= 0)
            {
                Add(isBlock ? TokenType.BlockEnd : TokenType.VariableEnd, "");
                MoveTo(_pos, end);
                return;
            }

            var space = SkipSpace(_pos);
            if (space > _pos)
            {
                MoveTo(_pos, space);
                continue;
            }

            var from = _pos;
            var to = Literals.Read(_source, _pos, _line, out var token);
            if (to < 0)
                to = Operator(out token);
            _tokens.Add(token);
            MoveTo(from, to);
        }
    }

    private int Operator(out Token token)
    {
        var c = _source[_pos];
        var two = _pos + 1 < _source.Length ? _source.Substring(_pos, 2) : "";
        var text = two is "//" or "**" or "==" or "!=" or ">=" or "<=" ? two
            : "+-/*%~[](){}><=.:|,;".Contains(c, StringComparison.Ordinal) ? c.ToString()
            : throw TemplateException.Syntax($"unexpected char {PyText.Repr(PyText.At(_source, _pos))} at {_pos}", _line);
        switch (c)
        {
            case '{': _balance.Push('}'); break;
            case '(': _balance.Push(')'); break;
            case '[': _balance.Push(']'); break;
            case '}' or ')' or ']':
                if (!_balance.TryPop(out var expected))
                    throw TemplateException.Syntax($"unexpected '{c}'", _line);
                if (expected != c)
                    throw TemplateException.Syntax($"unexpected '{c}', expected '{expected}'", _line);
                break;
        }

        token = new Token(TokenType.Operator, text, _line);
        return _pos + text.Length;
    }

    private int BlockEnd(int i)
    {
        if (At(i, "+%}"))
            return i + 3;
        if (At(i, "-%}"))
            return SkipSpace(i + 3);
        if (!At(i, "%}"))
            return -1;
        return At(i + 2, "\n") ? i + 3 : i + 2;
    }

    private int VariableEnd(int i) => At(i, "-}}") ? SkipSpace(i + 3) : At(i, "}}") ? i + 2 : -1;

    private bool At(int i, string text) => string.CompareOrdinal(_source, i, text, 0, text.Length) == 0;

    private int SkipSpace(int i)
    {
        while (i < _source.Length && PyText.IsSpace(_source[i]))
            i++;
        return i;
    }
}
